//! Events reach their subscriber where no lock is held: it is foreign code, and may use the very producer it hears of, or panic.

use std::{
    fmt::{self, Write as _},
    sync::{Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

use kafka_mock::MockCluster;
use kafka_producer::{ErrorCode, Producer, Record};
use kafka_wire::NodeId;
use tracing::{Event, Metadata, Subscriber, field, span};

static PRODUCER: OnceLock<Producer> = OnceLock::new();
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Looks at the producer at each event of its crate.
struct Nosy;

impl Subscriber for Nosy {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kafka_")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        // The first events may come before there is a producer to look at.
        if let Some(producer) = PRODUCER.get() {
            // On another thread, so that a lock that is held fails the test and does not hang it.
            let (tx, rx) = mpsc::channel();
            thread::spawn(move || tx.send(producer.stats().failed));
            if rx.recv_timeout(Duration::from_secs(20)).is_err() {
                line.0.push_str(" UNDER A LOCK");
            }
        }
        HEARD.lock().expect("no panic").push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Panics at each event.
struct Grumpy;

impl Subscriber for Grumpy {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kafka_")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        GRUMBLED.lock().expect("no panic under it").push(line.0);
        panic!("a subscriber that fails");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

static GRUMBLED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Line(String);

impl field::Visit for Line {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_may_use_the_producer_it_hears_of() {
    tracing::subscriber::set_global_default(Nosy).expect("the only one of this process");
    let cluster = MockCluster::builder().brokers(2).topic("orders", 2).start().await.expect("a cluster");
    cluster.set_topic_config("orders", "max.message.bytes", "1000").expect("a topic");
    let config = Producer::builder([cluster.bootstrap_servers()]).linger(Duration::ZERO);
    let producer = config.connect().await.expect("good settings");
    PRODUCER.set(producer.clone()).expect("the only one of this process");
    let large = [7; 2000];
    let refused = producer.send(Record::to("orders").partition(0).value(&large)).await.expect("accepted");
    let error = refused.await.expect_err("larger than the topic allows");
    assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    // Scenario 31: whoever relies on where keys go is told that they go elsewhere.
    cluster.grow_topic("orders", 3).expect("more");
    let grown = producer.send(Record::to("orders").partition(2).value("v")).await.expect("accepted");
    grown.await.expect("delivered");
    producer.close(Duration::from_secs(30)).await.expect("closed in time");
    cluster.shutdown().await;
    let heard = HEARD.lock().expect("no panic").clone();
    for message in [
        "topic known",
        "producer id acquired",
        "batch not acknowledged",
        "batch given up",
        "topic has grown: from now on keys go to other partitions",
    ] {
        let line = heard.iter().find(|line| line.contains(message));
        assert!(line.is_some(), "no event says {message:?}: {heard:#?}");
    }
    assert!(!heard.iter().any(|line| line.contains("UNDER A LOCK")), "{heard:#?}");
}

#[tokio::test]
async fn a_subscriber_that_panics_keeps_no_record_from_its_way() {
    let _here = tracing::subscriber::set_default(Grumpy);
    let nodes = [NodeId(1), NodeId(2)];
    let cluster = MockCluster::builder().brokers(2).topic("orders", 2).start().await.expect("a cluster");
    let config = Producer::builder([cluster.bootstrap_servers()])
        .linger(Duration::ZERO)
        .request_timeout(Duration::from_millis(500))
        .delivery_timeout(Duration::from_secs(1));
    let producer = config.connect().await.expect("good settings");
    let send =
        async || producer.send(Record::to("orders").partition(0).value("x")).await.expect("it is open").await;
    // The machine may be slow; what is given up says so, too.
    while send().await.is_err() {}
    nodes.iter().for_each(|node| cluster.stop_broker(*node).expect("it runs"));
    assert!(send().await.is_err(), "nobody is there");
    nodes.iter().for_each(|node| cluster.start_broker(*node).expect("it is stopped"));
    while send().await.is_err() {}
    producer.close(Duration::from_secs(30)).await.expect("closed in time");
    cluster.shutdown().await;
    let heard = GRUMBLED.lock().expect("no panic under it").clone();
    for message in [
        "topic known",
        "producer id acquired",
        "connection ended",
        "no connection to a broker",
        "batch given up",
    ] {
        assert!(heard.iter().any(|line| line.contains(message)), "no event says {message:?}: {heard:#?}");
    }
}
