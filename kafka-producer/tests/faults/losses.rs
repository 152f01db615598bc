//! Acknowledged records that brokers lose: scenario 12.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_mock::{Change, Rule};
use kafka_wire::{ApiKey, NodeId, PartitionId};
use tracing::{Event, Metadata, Subscriber, field, span};

use crate::{Run, connect, numbers, soon};

/// Hears what the producers of its thread tell of losses.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn losses(&self) -> Vec<String> {
        let heard = self.0.lock().expect("no panic").clone();
        heard.into_iter().filter(|line| line.contains("the brokers lost records")).collect()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kafka_producer")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("no panic").push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl field::Visit for Line {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

/// Another broker leads the partition, and lacks so many batches.
fn unclean(to: NodeId, batches: usize) -> Change {
    Change::ElectUnclean { topic: "orders".into(), partition: Some(PartitionId(0)), to: Some(to), batches }
}

/// Between two batches: some are lost, all are lost, none is.
#[tokio::test]
async fn s12_an_unclean_election_loses_what_was_acknowledged() {
    // As long as there is one subscriber only, tracing takes the word of the thread that first comes to an event for all threads:
    // another test's, which has none.
    let _second = tracing::Dispatch::new(Heard::default());
    for (batches, left) in [(5, 15), (usize::MAX, 0), (0, 20)] {
        let heard = Heard::default();
        let _here = tracing::subscriber::set_default(heard.clone());
        let mut run = Run::new(1).await;
        let producer = connect(run.config().batch_size(0)).await;
        run.send(&producer, 20).await;
        soon(producer.flush()).await.expect("open");
        run.cluster.carry_out(unclean(NodeId(2), batches)).expect("exists");
        assert_eq!(numbers(&run.cluster, 0).len(), left);
        run.send(&producer, 20).await;
        soon(producer.flush()).await.expect("open");
        let told = usize::from(left < 20);
        assert_eq!((producer.stats().losses, heard.losses().len()), (told as u64, told), "{batches}");
        let names_it = |line: &String| line.contains("topic=orders") && line.contains("partition=0");
        assert!(heard.losses().iter().all(names_it), "{:?}", heard.losses());
        run.finish_delivered_but(&(left..20).collect(), producer).await;
    }
}

/// With several batches on their way to the old leader, twice.
#[tokio::test]
async fn s12_an_unclean_election_in_the_middle_of_batches() {
    let mut run = Run::new(1).await;
    run.cluster.add_rule(Rule::on(ApiKey::PRODUCE).delay(Duration::from_millis(15)));
    let producer = connect(run.config().batch_size(0)).await;
    run.send(&producer, 1).await;
    soon(producer.flush()).await.expect("open");
    let mut lost = BTreeSet::new();
    for (round, to) in [(1, NodeId(2)), (2, NodeId(1))] {
        let before = run.sent.len();
        let election = Rule::on(ApiKey::PRODUCE).nth(10).change(unclean(to, 3));
        run.cluster.add_rule(election.named("election"));
        run.send(&producer, 40).await;
        soon(producer.flush()).await.expect("open");
        assert_eq!(run.cluster.fired("election"), round);
        // Nine were appended before the request with which it came, and acknowledged.
        lost.extend(before + 6..before + 9);
        assert_eq!(producer.stats().losses, round);
    }
    run.finish_delivered_but(&lost, producer).await;
}
