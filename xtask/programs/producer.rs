//! Our producer under load: what `cargo xtask bench` measures. Only the public interface is used, as a caller would
//! who wants to know what became of each record: every delivery is awaited, a window of them at a time.

use std::collections::VecDeque;
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kafka_producer::{Producer, Record, Topic};

#[path = "arguments.rs"]
mod arguments;

use arguments::Arguments;

fn main() -> ExitCode {
    arguments::run(|arguments| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(produce(&arguments))
    })
}

#[expect(clippy::disallowed_methods, reason = "a program that measures")]
async fn produce(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let producer = Producer::builder(arguments.bootstrap.split(','))
        .batch_size(16 * 1024)
        .linger(arguments.linger)
        .connect()
        .await?;
    let load = Load {
        topic: producer.topic(TOPIC).await?,
        value: vec![b'x'; arguments.size],
        keys: if arguments.key {
            (0..KEYS).map(|key| format!("{key:016}").into_bytes()).collect()
        } else {
            Vec::new()
        },
    };
    let began = Instant::now();
    match arguments.run {
        1 => one_by_one(&producer, arguments, &load).await?,
        _ => by_runs(&producer, arguments, &load).await?,
    }
    let took = began.elapsed();
    producer.close(CLOSE_WITHIN).await?;
    arguments.report(took);
    Ok(())
}

async fn one_by_one(producer: &Producer, arguments: &Arguments, load: &Load) -> Result<(), Box<dyn Error>> {
    let mut window = VecDeque::with_capacity(arguments.window);
    for index in 0..arguments.records {
        if window.len() == arguments.window
            && let Some(delivery) = window.pop_front()
        {
            delivery.await?;
        }
        window.push_back(producer.send(load.record(index)).await?);
    }
    // The last batches would linger otherwise.
    producer.flush().await?;
    for delivery in window {
        delivery.await?;
    }
    Ok(())
}

async fn by_runs(producer: &Producer, arguments: &Arguments, load: &Load) -> Result<(), Box<dyn Error>> {
    let records: Vec<_> = (0..arguments.run as u64).map(|index| load.record(index)).collect();
    let mut window = VecDeque::with_capacity(arguments.window / arguments.run);
    for _ in 0..arguments.records / arguments.run as u64 {
        if window.len() == arguments.window / arguments.run
            && let Some(deliveries) = window.pop_front()
        {
            deliveries.await?;
        }
        window.push_back(producer.send_all(black_box(&records)).await?);
    }
    producer.flush().await?;
    for deliveries in window {
        deliveries.await?;
    }
    Ok(())
}

/// What records are made of.
struct Load {
    topic: Topic,
    value: Vec<u8>,
    /// Different ones, so that they spread over the partitions; or none.
    keys: Vec<Vec<u8>>,
}

impl Load {
    #[inline]
    fn record(&self, index: u64) -> Record<'_> {
        // Records come from elsewhere: what is the same for all of them must not be worked out before the loop.
        let record = Record::to(&self.topic).value(black_box(&self.value[..]));
        match self.keys.get(index as usize % KEYS) {
            Some(key) => record.key(key),
            None => record,
        }
    }
}

const TOPIC: &str = "bench";
const KEYS: usize = 1024;
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
