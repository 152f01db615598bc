//! [`Gate`]: a pump that rests is woken for everything it would not see by itself in time.

use std::{
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use kafka_batch::{Readiness, Wait};
use kafka_wire::NodeId;
use loom::{
    future::block_on,
    sync::{Mutex, MutexGuard},
    thread,
};

use crate::{
    check,
    gate::{Armed, End, Gate},
    sender::LaneId,
};

/// Lanes with so many batches each, at one gate.
struct Desk {
    gate: Arc<Gate>,
    lanes: [Mutex<u32>; 2],
    /// Time stands still: whoever waits for it waits for ever.
    now: Instant,
}

impl Desk {
    fn new() -> Arc<Self> {
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = Instant::now();
        Arc::new(Self { gate: Gate::new(NodeId(1)), lanes: [Mutex::new(0), Mutex::new(0)], now })
    }

    fn lane(&self, lane: u32) -> MutexGuard<'_, u32> {
        self.lanes[lane as usize].lock().expect("no panic")
    }

    fn readiness(&self, batches: u32) -> Option<Readiness> {
        let expires_at = self.now + Duration::from_secs(60);
        (batches > 0).then_some(Readiness { wait: Wait::Ready, expires_at })
    }

    /// What an append does once a batch is full: first the lane, then the gate with another look into the lane.
    fn append(&self, lane: u32) {
        *self.lane(lane) += 1;
        let waker = {
            let mut state = self.gate.lock();
            let batches = *self.lane(lane);
            state.index.update(LaneId(lane), self.readiness(batches));
            state.waker_for(true)
        };
        waker.into_iter().for_each(std::task::Waker::wake);
    }

    /// Takes one batch out of a lane, as a draw does.
    fn draw(&self) -> bool {
        let mut state = self.gate.lock();
        let mut round = state.index.round(self.now);
        let Some(LaneId(lane)) = state.index.next(&mut round) else { return false };
        let mut batches = self.lane(lane);
        let any = *batches > 0;
        *batches = batches.saturating_sub(1);
        state.index.update(LaneId(lane), self.readiness(*batches));
        any
    }

    /// What a pump does until it has so many batches, or is told to end.
    fn pump(&self, mut wanted: u32) -> Result<(), End> {
        block_on(poll_fn(|cx| {
            while wanted > 0 {
                let glance = match self.gate.glance(self.now) {
                    Ok(glance) => glance,
                    Err(end) => return Poll::Ready(Err(end)),
                };
                if glance.is_due && self.draw() {
                    wanted -= 1;
                    continue;
                }
                if self.gate.rest(glance, None, self.now, cx.waker()).is_some() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(Ok(()))
        }))
    }
}

#[test]
fn no_batch_is_left_to_a_pump_that_sleeps() {
    check(|| {
        let desk = Desk::new();
        let appends: Vec<_> = (0..2)
            .map(|lane| {
                let desk = Arc::clone(&desk);
                thread::spawn(move || desk.append(lane))
            })
            .collect();
        assert_eq!(desk.pump(2), Ok(()));
        appends.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn nor_are_several_of_one_lane() {
    check(|| {
        let desk = Desk::new();
        let appends: Vec<_> = (0..2)
            .map(|_| {
                let desk = Arc::clone(&desk);
                thread::spawn(move || desk.append(0))
            })
            .collect();
        assert_eq!(desk.pump(2), Ok(()));
        appends.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn the_end_is_always_seen() {
    check(|| {
        let desk = Desk::new();
        let ends = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.gate.end(End::Finish))
        };
        let wakes = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.gate.wake())
        };
        assert_eq!(desk.pump(1), Err(End::Finish));
        ends.join().expect("no panic");
        wakes.join().expect("no panic");
    });
}

/// While a connection is full its pump is woken for nothing; once it is not, it looks again, and must see what came.
#[test]
fn what_came_while_the_connection_was_full_is_seen_after_it() {
    check(|| {
        let desk = Desk::new();
        desk.gate.lock().sleep(&mut Some(std::task::Waker::noop().clone()), Armed::Full);
        let appends = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || desk.append(0))
        };
        assert_eq!(desk.pump(1), Ok(()));
        appends.join().expect("no panic");
    });
}
