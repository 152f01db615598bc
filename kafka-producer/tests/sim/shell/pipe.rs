//! A pipe in memory that behaves like a bad network: late, stalled, in drops, or cut.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::watch::Meter;
use crate::io::now;

/// What a pipe does to the bytes of one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// How long a write takes to the other side: from, to.
    pub(super) latency: (Duration, Duration),
    /// Bytes under way before the writer must wait.
    pub(super) capacity: usize,
    /// Bytes a read gets at most, and the pause after it.
    pub(super) trickle: Option<(usize, Duration)>,
    /// The pipe breaks when so many bytes were written.
    pub(super) cut_after: Option<u64>,
    /// Whether a write may take fewer bytes than it could.
    pub(super) is_choppy: bool,
}

impl Weather {
    pub(super) const FAIR: Self = Self {
        latency: (Duration::ZERO, Duration::from_millis(1)),
        capacity: 64 * 1024,
        trickle: None,
        cut_after: None,
        is_choppy: false,
    };
}

/// One end of a pipe.
pub(super) struct End {
    pipe: Arc<Mutex<Pipe>>,
    side: usize,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Looks at what is written here.
    meter: Option<Meter>,
}

/// The pipe from outside: to break it, or to hold it up.
#[derive(Clone)]
pub(super) struct Grip(Weak<Mutex<Pipe>>);

struct Pipe {
    /// Indexed by the side that writes.
    ways: [Way; 2],
    /// Neither side can write, and reads end.
    is_broken: bool,
    rng: fastrand::Rng,
    spin: Spin,
}

struct Way {
    weather: Weather,
    queue: VecDeque<(Instant, Bytes)>,
    queued: usize,
    written: u64,
    last_arrival: Option<Instant>,
    stall: Stall,
    /// The writer said that no more comes, or is gone.
    is_ended: bool,
    /// The reader is gone.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    None,
    Until(Instant),
    Forever,
}

/// Turns without time passing.
#[derive(Default)]
struct Spin {
    at: Option<Instant>,
    count: u32,
}

/// The ends for the client and for the broker, and the grip on it.
pub(super) fn pipe(to_broker: Weather, to_client: Weather, rng: fastrand::Rng) -> (End, End, Grip) {
    let pipe = Pipe {
        ways: [Way::new(to_broker), Way::new(to_client)],
        is_broken: false,
        rng,
        spin: Spin::default(),
    };
    let pipe = Arc::new(Mutex::new(pipe));
    let end = |side| End { pipe: Arc::clone(&pipe), side, sleep: None, meter: None };
    (end(CLIENT), end(BROKER), Grip(Arc::downgrade(&pipe)))
}

impl Grip {
    /// Breaks the pipe; what is under way arrives or not.
    pub(super) fn cut(&self) {
        self.with(Pipe::cut);
    }

    /// Holds one direction up, for a time or for good.
    pub(super) fn stall(&self, to_broker: bool, time: Option<Duration>) {
        let stall = time.map_or(Stall::Forever, |time| Stall::Until(now() + time));
        self.with(|pipe| pipe.ways[if to_broker { CLIENT } else { BROKER }].stall = stall);
    }

    /// From now on the weather is fair.
    pub(super) fn clear(&self) {
        self.with(|pipe| {
            for way in &mut pipe.ways {
                way.stall = Stall::None;
                way.weather = Weather::FAIR;
                // What was on its way for long arrives.
                way.last_arrival = None;
                let late = now() + Weather::FAIR.latency.1;
                way.queue.iter_mut().for_each(|(arrival, _)| *arrival = (*arrival).min(late));
            }
            pipe.wake();
        });
    }

    /// Whether an end is still held.
    pub(super) fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Whether both ends are held, and neither says that no more comes.
    pub(super) fn is_connected(&self) -> bool {
        let is_whole = |way: &Way| !(way.is_ended || way.is_deaf);
        self.0.upgrade().is_some_and(|pipe| lock(&pipe).ways.iter().all(is_whole))
    }

    /// How often somebody looked at it without time passing: a loop that does not end.
    pub(super) fn is_spinning(&self) -> bool {
        self.0.upgrade().is_some_and(|pipe| lock(&pipe).spin.count > MAX_SPIN)
    }

    fn with(&self, f: impl FnOnce(&mut Pipe)) {
        if let Some(pipe) = self.0.upgrade() {
            let mut pipe = lock(&pipe);
            f(&mut pipe);
            pipe.wake();
        }
    }
}

impl Pipe {
    fn cut(&mut self) {
        self.is_broken = true;
        for way in &mut self.ways {
            way.stall = Stall::None;
            // A reset overtakes what was sent before it, or does not.
            if self.rng.bool() {
                way.queue.clear();
                way.queued = 0;
            }
        }
    }

    fn wake(&mut self) {
        for way in &mut self.ways {
            way.reader.take().into_iter().chain(way.writer.take()).for_each(Waker::wake);
        }
    }

    /// Whether this turn is one too many.
    fn spins(&mut self) -> bool {
        let now = now();
        if self.spin.at != Some(now) {
            self.spin = Spin { at: Some(now), count: 0 };
        }
        self.spin.count += 1;
        self.spin.count > MAX_SPIN
    }
}

impl Way {
    fn new(weather: Weather) -> Self {
        Self {
            weather,
            queue: VecDeque::new(),
            queued: 0,
            written: 0,
            last_arrival: None,
            stall: Stall::None,
            is_ended: false,
            is_deaf: false,
            reader: None,
            writer: None,
        }
    }

    /// When the first bytes can be read, if there are any; none of them if never.
    fn readable(&self) -> Option<Option<Instant>> {
        let (arrival, _) = self.queue.front()?;
        Some(match self.stall {
            Stall::None => Some(*arrival),
            Stall::Until(until) => Some(until.max(*arrival)),
            Stall::Forever => None,
        })
    }
}

impl End {
    /// From now on it is looked at what is written here.
    pub(super) fn metered(mut self, meter: Option<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// Sleeps until a time; ready if it has come.
    fn poll_sleep(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = Box::pin(sleep_until(until.into()));
        let slept = sleep.as_mut().poll(cx);
        self.sleep = Some(sleep);
        slept
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let until = {
            let mut pipe = lock(&this.pipe);
            if pipe.spins() {
                return Poll::Pending;
            }
            let (is_broken, from) = (pipe.is_broken, 1 - this.side);
            let way = &mut pipe.ways[from];
            way.reader = Some(cx.waker().clone());
            match way.readable() {
                None if is_broken => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None if way.is_ended => return Poll::Ready(Ok(())),
                None | Some(None) => return Poll::Pending,
                Some(Some(at)) if at <= now() => {
                    if let Some((arrival, bytes)) = way.queue.front_mut() {
                        let most = way.weather.trickle.map_or(usize::MAX, |(most, _)| most);
                        let count = bytes.len().min(buf.remaining()).min(most);
                        buf.put_slice(&bytes.split_to(count));
                        way.queued -= count;
                        if let Some((_, pause)) = way.weather.trickle {
                            *arrival = now() + pause;
                        }
                        if bytes.is_empty() {
                            way.queue.pop_front();
                        }
                    }
                    way.writer.take().into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(()));
                }
                Some(Some(at)) => at,
            }
        };
        // Its time may have come in between; then it is looked at again.
        if this.poll_sleep(until, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut guard = lock(&this.pipe);
        let pipe = &mut *guard;
        if pipe.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        this.meter.iter().for_each(Meter::check);
        let way = &mut pipe.ways[this.side];
        if way.is_ended || way.is_deaf {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut count = offered.min(way.weather.capacity.saturating_sub(way.queued));
        if count == 0 && offered > 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if way.weather.is_choppy && count > 1 {
            count = pipe.rng.usize(1..=count);
        }
        let left = way.weather.cut_after.map_or(u64::MAX, |after| after.saturating_sub(way.written));
        count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut bytes = Vec::with_capacity(count);
        for slice in slices {
            let room = count - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        this.meter.iter_mut().for_each(|meter| meter.take(&mut bytes));
        way.written += count as u64;
        way.queued += count;
        let (from, to) = way.weather.latency;
        let latency = from + (to - from).mul_f64(pipe.rng.f64());
        let arrival = (now() + latency).max(way.last_arrival.unwrap_or_else(now));
        way.last_arrival = Some(arrival);
        if count > 0 {
            way.queue.push_back((arrival, Bytes::from(bytes)));
        }
        let is_over = way.weather.cut_after.is_some_and(|after| way.written >= after);
        way.reader.take().into_iter().for_each(Waker::wake);
        if is_over {
            pipe.cut();
            pipe.wake();
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.pipe);
        let way = &mut pipe.ways[self.side];
        way.is_ended = true;
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        pipe.ways[self.side].is_ended = true;
        pipe.ways[1 - self.side].is_deaf = true;
        pipe.wake();
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

const CLIENT: usize = 0;
const BROKER: usize = 1;

/// Looks at a pipe at one moment of virtual time. A turn of a pump is bounded, and so is what can be read at once.
const MAX_SPIN: u32 = 20_000;
