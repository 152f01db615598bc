//! What users' code relies on without naming it: who may cross threads, what stays small, what the names are.

use std::error::Error;

use kafka_producer::{
    Attempt, CloseError, ConfigError, Deliveries, Delivery, DeliveryError, OwnedRecord, Producer,
    ProducerConfig, Record, RecordSink, SendAllError, SendError, Sending, SinkError, Stats, Topic,
    TrySendError,
};

fn crosses_threads<T: Send>() {}
fn is_shared<T: Clone + Send + Sync + 'static>() {}
fn is_an_error<T: Error + Send + Sync + 'static>() {}
fn can_be_selected<T: Unpin>() {}

#[test]
fn handles_are_shared_and_futures_cross_threads() {
    is_shared::<Producer>();
    is_shared::<Topic>();
    is_shared::<ProducerConfig>();
    is_shared::<OwnedRecord>();
    is_shared::<Stats>();
    is_shared::<Attempt>();
    crosses_threads::<Sending<'static>>();
    crosses_threads::<Delivery>();
    crosses_threads::<Deliveries>();
    crosses_threads::<RecordSink>();
    crosses_threads::<Record<'static>>();
    can_be_selected::<Sending<'static>>();
    can_be_selected::<Delivery>();
    can_be_selected::<Deliveries>();
    can_be_selected::<RecordSink>();
}

#[test]
fn every_error_can_be_boxed_and_sent() {
    is_an_error::<SendError>();
    is_an_error::<TrySendError>();
    is_an_error::<SendAllError>();
    is_an_error::<DeliveryError>();
    is_an_error::<SinkError>();
    is_an_error::<CloseError>();
    is_an_error::<ConfigError>();
    is_shared::<DeliveryError>();
}

/// What is made for each record, or returned for it, stays in a few words.
#[test]
fn what_each_record_costs_is_small() {
    let word = size_of::<usize>();
    assert!(size_of::<Delivery>() <= 2 * word);
    assert!(size_of::<Result<Delivery, SendError>>() <= 2 * word);
    assert!(size_of::<SendError>() <= word);
    assert!(size_of::<DeliveryError>() <= 2 * word);
    assert!(size_of::<Sending<'static>>() <= 16 * word);
}

/// Futures of a whole program's life are moved into tasks: they must not be tied to one thread.
#[test]
fn an_async_block_with_everything_crosses_threads() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    drop(is_send(async {
        let producer = Producer::builder(["localhost:9092"]).connect().await?;
        let topic = producer.topic("orders").await?;
        producer.send(Record::to(&topic).value("v")).await?.await?;
        producer.send_all([Record::to(&topic).value("v")]).await?.await?;
        producer.partitions_for("orders").await?;
        producer.flush().await?;
        producer.close(std::time::Duration::from_secs(1)).await?;
        Ok::<(), Box<dyn Error + Send + Sync>>(())
    }));
}

/// It was a panic, or a producer that gave up everything at its first turn.
#[test]
fn a_runtime_that_lacks_something_is_named_at_connect() {
    use futures::FutureExt;
    use kafka_producer::ConfigErrorKind;
    use tokio::runtime::{Builder, Runtime};

    let config = || Producer::builder(["localhost:9092"]);
    let connect = |runtime: Runtime| runtime.block_on(config().connect()).expect_err("it lacks something");
    let outside = config().connect().now_or_never().expect("nothing is waited for").expect_err("no runtime");
    let without_timers = connect(Builder::new_current_thread().enable_io().build().expect("a runtime"));
    let without_io = connect(Builder::new_multi_thread().enable_time().build().expect("a runtime"));
    for (error, word) in
        [(outside, "#[tokio::main]"), (without_timers, "enable_time()"), (without_io, "enable_io()")]
    {
        assert_eq!((error.kind(), error.setting()), (ConfigErrorKind::Runtime, None));
        assert!(error.to_string().contains(word), "{error}");
    }
}
