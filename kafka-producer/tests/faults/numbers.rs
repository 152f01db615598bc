//! Producer ids, epochs and sequences: scenarios 34 to 38.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_mock::{Change, Rule};
use kafka_producer::{Persistence, Producer, Record};
use kafka_wire::{ApiKey, ErrorCode, NodeId, ProducerEpoch};

use crate::{Run, connect, soon};

/// Brokers whose answers take a moment, so that several batches of a partition are on their way.
async fn pipelined(partitions: i32) -> (Run, Producer) {
    let mut run = Run::new(partitions).await;
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).delay(Duration::from_millis(15)));
    let producer = connect(run.config().batch_size(0)).await;
    run.send(&producer, usize::try_from(partitions).expect("few")).await;
    soon(producer.flush()).await.expect("open");
    (run, producer)
}

#[tokio::test]
async fn s34_a_batch_in_the_middle_fails_for_good() {
    for code in
        [ErrorCode::INVALID_RECORD, ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::TOPIC_AUTHORIZATION_FAILED]
    {
        let (mut run, producer) = pipelined(2).await;
        run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).partition(0).nth(3).error(code));
        run.send(&producer, 40).await;
        let settled = run.finish(producer).await;
        let failed: Vec<_> = settled.iter().filter_map(|settled| settled.result.as_ref().err()).collect();
        assert_eq!(failed.len(), 1, "{code}: {failed:?}");
        assert_eq!((failed[0].code(), failed[0].persistence()), (Some(code), Persistence::NotPersisted));
    }
}

#[tokio::test]
async fn s34_brokers_that_forgot_the_producer() {
    let (mut run, producer) = pipelined(2).await;
    let forget = Change::ForgetProducers { topic: "orders".into(), partition: None };
    run.cluster.carry_out(forget).expect("exists");
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).partition(1).nth(2).error(ErrorCode::UNKNOWN_PRODUCER_ID));
    run.send(&producer, 40).await;
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s35_a_batch_expires_in_flight() {
    for applied in [false, true] {
        let mut run = Run::new(2).await;
        let settings = run.config().request_timeout(Duration::from_millis(400));
        let producer = connect(settings.delivery_timeout(Duration::from_millis(600))).await;
        run.send(&producer, 10).await;
        soon(producer.flush()).await.expect("open");
        let rule = Rule::on(ApiKey::PRODUCE).partition(0);
        run.cluster.add_rule(if applied { rule.silence_after_apply() } else { rule.silence() });
        run.send_to(&producer, 0, 0).await;
        soon(producer.flush()).await.expect("open");
        run.cluster.clear_script();
        run.send(&producer, 30).await;
        let there = crate::numbers(&run.cluster, 0).iter().any(|&(_, number)| number == 10);
        assert_eq!(there, applied);
        let settled = run.finish(producer).await;
        for (number, settled) in settled.iter().enumerate() {
            match &settled.result {
                Ok(_) => assert_ne!(number, 10),
                Err(error) => {
                    assert_eq!(number, 10, "{error}");
                    assert!(error.is_timeout(), "{error}");
                    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
                }
            }
        }
    }
}

#[tokio::test]
async fn s35_a_batch_that_was_never_sent_expires_as_not_persisted() {
    let mut run = Run::new(1).await;
    let settings = run.config().request_timeout(Duration::from_millis(200));
    let producer = connect(settings.delivery_timeout(Duration::from_millis(300))).await;
    run.send(&producer, 5).await;
    soon(producer.flush()).await.expect("open");
    for node in [1, 2, 3] {
        run.cluster.stop_broker(NodeId(node)).expect("exists");
    }
    // The connections are seen to be gone before anything is sent.
    soon(async {
        while producer.stats().brokers.iter().any(|broker| broker.connected) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    run.send(&producer, 5).await;
    soon(producer.flush()).await.expect("open");
    run.cluster.start_broker(NodeId(2)).expect("exists");
    // Only now that it is back: a record has little time here.
    soon(async { drop(producer.partitions_for("orders").await) }).await;
    let settled = run.finish(producer).await;
    for settled in &settled[5..] {
        let error = settled.result.as_ref().expect_err("nobody was there");
        assert_eq!((error.is_timeout(), error.persistence()), (true, Persistence::NotPersisted));
    }
}

#[tokio::test]
async fn s36_batches_are_split_with_several_in_flight() {
    let mut run = Run::new(2).await;
    let producer = connect(run.config().batch_size(4000).linger(Duration::from_millis(20))).await;
    run.send(&producer, 10).await;
    soon(producer.flush()).await.expect("open");
    run.cluster.set_topic_config("orders", "max.message.bytes", "1000").expect("a setting");
    // All that fit into flight are there before the first is refused.
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).times(5).delay(Duration::from_millis(50)));
    for index in 0..400 {
        run.send_to(&producer, index % 2, 100).await;
    }
    soon(producer.flush()).await.expect("open");
    let stats = producer.stats();
    assert!(stats.splits > 5, "{} were too large", stats.splits);
    assert!(stats.brokers.iter().any(|broker| broker.max_in_flight == 5), "five were in flight");
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s37_the_epochs_of_a_producer_id_are_used_up() {
    let mut run = Run::new(2).await;
    let last_but_one = ProducerEpoch(32_766);
    run.cluster.add_rule(Rule::on(ApiKey::INIT_PRODUCER_ID).times(1).producer(None, last_but_one));
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).delay(Duration::from_millis(5)));
    let producer = connect(run.config().batch_size(0)).await;
    run.send(&producer, 2).await;
    soon(producer.flush()).await.expect("open");
    let mut failures = 0;
    for _ in 0..4 {
        // Each takes an epoch, or more.
        run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).partition(0).nth(2).error(ErrorCode::INVALID_RECORD));
        failures += 1;
        run.send(&producer, 20).await;
        soon(producer.flush()).await.expect("open");
    }
    let recorded = run.cluster.recorded();
    let batches = recorded.iter().flat_map(|request| &request.batches);
    let used: BTreeSet<_> = batches.map(|batch| (batch.producer_id, batch.producer_epoch)).collect();
    let ids: BTreeSet<_> = used.iter().map(|(id, _)| id).collect();
    assert!(ids.len() >= 2, "a new id was asked for: {used:?}");
    assert!(used.iter().all(|(id, epoch)| id.0 >= 0 && epoch.0 >= 0), "none goes out unprotected: {used:?}");
    let settled = run.finish(producer).await;
    let failed = settled.iter().filter(|settled| settled.result.is_err()).count();
    assert_eq!(failed, failures);
}

#[tokio::test]
async fn s38_a_producer_id_is_hard_to_get() {
    let mut run = Run::new(2).await;
    let rule = |code| Rule::on(ApiKey::INIT_PRODUCER_ID).named("not yet").times(2).error(code);
    // Each counts the requests that the ones before it answered as well.
    run.cluster.add_rule(rule(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    run.cluster.add_rule(rule(ErrorCode::NOT_COORDINATOR).skip(2));
    run.cluster.add_rule(rule(ErrorCode::REQUEST_TIMED_OUT).skip(4));
    run.cluster.add_rule(Rule::on(ApiKey::INIT_PRODUCER_ID).named("not yet").nth(7).disconnect());
    run.cluster.add_rule(Rule::on(ApiKey::INIT_PRODUCER_ID).named("not yet").nth(8).silence());
    let producer = connect(run.config().request_timeout(Duration::from_millis(300))).await;
    run.send(&producer, 20).await;
    soon(producer.flush()).await.expect("open");
    assert_eq!(run.cluster.fired("not yet"), 8);
    run.finish_delivered(producer).await;
}

#[tokio::test]
async fn s38_a_producer_that_may_not_write_idempotently_is_told_so() {
    let run = Run::new(1).await;
    run.cluster.add_rule(Rule::on(ApiKey::INIT_PRODUCER_ID).error(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    let producer = run.connect().await;
    // A record is not accepted, or was so before that was known and fails: in any case it is told.
    for value in ["0:", "1:"] {
        let told = match soon(producer.send(Record::to("orders").partition(0).value(value))).await {
            Ok(delivery) => {
                let error = soon(delivery).await.expect_err("refused");
                assert_eq!(error.persistence(), Persistence::NotPersisted);
                error.code()
            }
            Err(error) => error.code(),
        };
        assert_eq!(told, Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    }
    assert!(run.cluster.records("orders", 0).is_empty());
    crate::close(producer).await;
}
