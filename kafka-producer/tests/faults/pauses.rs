//! No loop without a pause, whatever brokers and settings say.

use std::time::Duration;

use crate::{Run, connect, soon};

#[tokio::test]
async fn no_broker_is_dialled_for_a_batch_that_still_lingers() {
    let mut run = Run::new(3).await;
    let settings = run.config().connections_max_idle(Some(Duration::from_millis(5)));
    let producer = connect(settings.linger(Duration::from_millis(500))).await;
    run.send(&producer, 3).await;
    soon(async {
        while !(0..3).all(|partition| run.all_answered(partition)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let dials: u64 = producer.stats().brokers.iter().map(|broker| broker.dials).sum();
    // Each broker for its batch; and one or another for the metadata and the producer id.
    assert!(dials <= 9, "{dials} dials for three batches");
    run.finish_delivered(producer).await;
}
