//! Promises that no other test was about: a careless change to the code broke each of them once, and nothing noticed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use kafka_batch::{
    BatchBuilder, BatchHeader, BatchReader, CHUNK_SIZE, Compressor, HEADER_SIZE, Limits, Memory,
    PartitionQueue, Pool, QueueSettings, Record, SendReason, Stamp, Ticket, crc32c, record_size,
};
use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}

/// Where a batch ends, and by how much the record misses that: limits close to the ends of chunks, and any.
fn limit() -> impl Strategy<Value = usize> {
    let around_a_chunk = (1_usize..5, 0_usize..300).prop_map(|(chunks, more)| chunks * CHUNK_SIZE + more);
    prop_oneof![around_a_chunk, 200_usize..80_000]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// A record that fits to the last byte joins the batch, and one with a byte more does not, wherever chunks end: also where
    /// the record lies across their border.
    #[test]
    fn a_record_joins_exactly_if_it_fits(limit in limit(), first in 0_usize..70_000, misses_by in -3_isize..4) {
        let limits = Limits::new(limit, 1 << 20, 1 << 20).expect("in range");
        let pool = Pool::new(&limits);
        let bytes = vec![7; limit + 64];
        let record = |len: usize| Record { value: Some(&bytes[..len]), ..Record::default() };
        let mut batch = BatchBuilder::open(&record(first.min(limit / 2)), &limits, &mut &pool).expect("room");
        let left = limit - batch.size();
        // The longest value with which it fits; where a length takes a byte more, not all sizes can be reached.
        let fitting = (0..left).rev().find(|&len| record_size(&record(len), 0, 1) <= left).expect("half is left");
        let record = record(fitting.saturating_add_signed(misses_by));
        let fits = record_size(&record, 0, 1) <= left;
        prop_assert_eq!(fits, misses_by <= 0);
        prop_assert_eq!(batch.fits(&record), fits);
        let index = match batch.append_fast(&record) {
            Some(index) => Some(index),
            None => batch.append_slow(&record, &mut &pool).expect("room"),
        };
        prop_assert_eq!(index, fits.then_some(1));
        prop_assert!(batch.size() <= limit);
    }
}

/// One who waits for memory, and where it is noted that he was woken.
struct Waiter(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("no panic").push(self.0);
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Take(usize),
    Overdraw(usize),
    GiveBack,
    Wait(usize),
    /// Of one of the tickets that there ever were: collected, given up, granted or waiting.
    Poll(usize),
    Cancel(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1_usize..4).prop_map(Op::Take),
        1 => (1_usize..4).prop_map(Op::Overdraw),
        6 => Just(Op::GiveBack),
        4 => (1_usize..4).prop_map(Op::Wait),
        3 => any::<prop::sample::Index>().prop_map(|at| Op::Poll(at.index(100))),
        3 => any::<prop::sample::Index>().prop_map(|at| Op::Cancel(at.index(100))),
    ]
}

/// What memory should be, in the fewest words.
#[derive(Default)]
struct Model {
    limit: usize,
    used: usize,
    waiting: VecDeque<(usize, usize)>,
    granted: BTreeMap<usize, usize>,
    woken: Vec<usize>,
}

impl Model {
    /// First come, first served; who is in front keeps all others back.
    fn grant(&mut self) {
        while let Some(&(id, count)) =
            self.waiting.front().filter(|(_, count)| self.used + count <= self.limit)
        {
            self.waiting.pop_front();
            self.used += count;
            self.granted.insert(id, count);
            self.woken.push(id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Memory is granted in the order of the waiting, each grant is collected or given back once, and nothing is credited
    /// twice, whatever is polled or given up again afterwards.
    #[test]
    fn memory_is_granted_in_order_and_credited_once(limit in 1_usize..6, ops in prop::collection::vec(op(), 1..120)) {
        let mut memory = Memory::new(limit);
        let mut model = Model { limit, ..Model::default() };
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut tickets: Vec<Ticket> = Vec::new();
        for op in ops {
            let mut wakers = Vec::new();
            let id = |at: usize| at.checked_rem(tickets.len());
            match op {
                Op::Take(count) => {
                    let fits = model.waiting.is_empty() && model.used + count <= limit;
                    prop_assert_eq!(memory.take(count), fits);
                    model.used += if fits { count } else { 0 };
                }
                Op::Overdraw(count) => {
                    memory.overdraw(count);
                    model.used += count;
                }
                Op::GiveBack => {
                    if model.used > model.granted.values().sum() {
                        memory.give_back(Box::default(), &mut wakers);
                        model.used -= 1;
                        model.grant();
                    }
                }
                Op::Wait(count) => {
                    let id = tickets.len();
                    let waker = Waker::from(Arc::new(Waiter(id, Arc::clone(&woken))));
                    tickets.push(memory.wait(count, waker, &mut wakers));
                    model.waiting.push_back((id, count));
                    model.grant();
                }
                Op::Poll(at) => {
                    if let Some(id) = id(at) {
                        let mut waker = Waker::from(Arc::new(Waiter(id, Arc::clone(&woken))));
                        prop_assert_eq!(memory.poll(tickets[id], &mut waker), model.granted.remove(&id));
                    }
                }
                Op::Cancel(at) => {
                    if let Some(id) = id(at) {
                        drop(memory.cancel(tickets[id], &mut wakers));
                        model.used -= model.granted.remove(&id).unwrap_or(0);
                        model.waiting.retain(|(waiting, _)| *waiting != id);
                        model.grant();
                    }
                }
            }
            wakers.into_iter().for_each(Waker::wake);
            prop_assert_eq!(memory.used(), model.used);
            prop_assert_eq!(memory.waiting(), model.waiting.len());
            prop_assert_eq!(&*woken.lock().expect("no panic"), &model.woken);
        }
        prop_assert!(std::iter::from_fn(|| memory.idle_chunk()).count() <= limit);
    }
}

/// Where a topic wants the time of the append, a broker sets a bit and one time in the header; the records keep the bytes that
/// their producer gave them.
#[test]
fn where_the_time_is_that_of_the_append_all_records_have_the_brokers() {
    let mut queue = PartitionQueue::new(QueueSettings::default());
    let pool = Pool::new(&Limits::DEFAULT);
    for timestamp in [1000, 7, 2000] {
        let record = Record { timestamp, value: Some(b"v"), ..Record::default() };
        assert!(queue.append_slow(&record, start(), &mut &pool, || ()).slot.is_ok());
    }
    let batch = queue.drain_all(SendReason::Close).remove(0);
    let sent = batch.seal(Stamp::NONE, &mut Compressor::none()).records().to_bytes();
    let times = |bytes: bytes::Bytes| -> Vec<i64> {
        let batch = BatchReader::new(bytes).next().expect("a batch").expect("with a right checksum");
        batch.records().expect("records").map(|read| read.expect("a record").record.timestamp).collect()
    };
    assert_eq!(times(sent.clone()), [1000, 7, 2000]);
    let (head, records) = sent.split_first_chunk::<HEADER_SIZE>().expect("a header");
    let mut header = BatchHeader::decode(head);
    (header.attributes, header.max_timestamp) = (header.attributes | 1 << 3, 9999);
    header.crc = crc32c([&header.encode()[21..], records]);
    assert_eq!(times([&header.encode()[..], records].concat().into()), [9999; 3]);
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A record, which closes the batch before it or joins the open one.
    Append(bool),
    /// As a pump does that was told that something is ready, be it true or not.
    Drain,
    /// The same for what lingers.
    Take,
    Pass(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => any::<bool>().prop_map(Turn::Append),
        3 => Just(Turn::Drain),
        2 => Just(Turn::Take),
        2 => (1_u64..20).prop_map(Turn::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// The oldest batch leaves a queue first, whenever the queue is looked into. An index that says otherwise is only behind.
    #[test]
    fn what_leaves_a_queue_is_its_oldest_batch(turns in prop::collection::vec(turn(), 1..60)) {
        let settings = QueueSettings { linger: Duration::from_millis(10), ..QueueSettings::default() };
        let (pool, mut queue) = (Pool::new(&settings.limits), PartitionQueue::new(settings));
        let record = Record { value: Some(b"v"), ..Record::default() };
        let mut now = start();
        // The position of the first record that was not taken, and how many there are.
        let (mut fresh, mut appended) = (0, 0);
        for turn in turns {
            let left = match turn {
                Turn::Append(closes) => {
                    if closes {
                        queue.close(SendReason::Full);
                    }
                    prop_assert!(queue.append_slow(&record, now, &mut &pool, || ()).slot.is_ok());
                    appended += 1;
                    None
                }
                Turn::Drain => queue.drain(now),
                Turn::Take => {
                    let batch = queue.take(SendReason::Piggyback);
                    prop_assert_eq!(batch.is_some(), fresh < appended);
                    batch
                }
                Turn::Pass(millis) => {
                    now += Duration::from_millis(millis);
                    None
                }
            };
            if let Some(batch) = left {
                prop_assert_eq!(batch.position(), fresh);
                fresh += u64::from(batch.count());
            }
        }
    }
}
