//! The signals that end the program in order: SIGINT, SIGTERM, SIGHUP.
//!
//! A thread of its own listens, so that a signal is heard also while the program is stuck in a write to a pipe that nobody
//! reads. The first signal is passed on to the command, which ends in its own way: what was read is delivered, what was
//! measured is told. A command that has something to give up takes a second one, and has [`GIVEN_UP`] to tell what became of
//! it; the one after those ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caught {
    Interrupt,
    #[cfg(unix)]
    Terminate,
    #[cfg(unix)]
    Hangup,
}

impl Caught {
    /// What shells report for a program that this ended: 128 and its number.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            #[cfg(unix)]
            Self::Terminate => 143,
            #[cfg(unix)]
            Self::Hangup => 129,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            #[cfg(unix)]
            Self::Terminate => "SIGTERM",
            #[cfg(unix)]
            Self::Hangup => "SIGHUP",
        }
    }
}

/// The signals from its making on, but for those that were ignored when the program started: `nohup` and the shell's `&`
/// have their reasons.
#[derive(Debug)]
pub(crate) struct Signals {
    caught: mpsc::Receiver<Caught>,
    limits: Arc<Limits>,
}

/// What the thread is told by the command.
#[derive(Debug)]
struct Limits {
    /// How many signals the command takes.
    taken: AtomicU32,
    /// How many milliseconds after the first signal it is over at the latest; zero for no limit.
    patience: AtomicU32,
}

impl Signals {
    /// Begins to listen. Where signals cannot be caught they do what they always do.
    pub(crate) fn new() -> Self {
        let (passed, caught) = mpsc::channel(PASSED);
        let limits = Arc::new(Limits { taken: AtomicU32::new(1), patience: AtomicU32::new(0) });
        let thread = std::thread::Builder::new().name("signals".to_owned());
        let (ready, listening) = std::sync::mpsc::channel();
        let shared = Arc::clone(&limits);
        let spawned = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // The end of the sender is the end of all signals; `recv` then waits for ever.
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let listener = Listener::new();
                let _ = ready.send(());
                if let Ok(listener) = listener {
                    listen(listener, &passed, &shared).await;
                }
            });
        });
        if spawned.is_ok() {
            // An error means that the thread is gone: it is no worse than without it.
            let _ = listening.recv();
        }
        Self { caught, limits }
    }

    /// The next signal; never where none can be caught.
    ///
    /// *Cancel safety*: a signal that came is there the next time.
    pub(crate) async fn recv(&mut self) -> Caught {
        match self.caught.recv().await {
            Some(caught) => caught,
            None => std::future::pending().await,
        }
    }

    /// The command makes something of two signals: at the second one it gives up, and has [`GIVEN_UP`] to tell of it.
    pub(crate) fn take_two(&self) {
        self.limits.taken.store(2, Ordering::Relaxed);
    }

    /// After the first signal there is nothing to lose: if the program is stuck, it ends after so long.
    pub(crate) fn end_within(&self, patience: Duration) {
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        self.limits.patience.store(millis, Ordering::Relaxed);
    }
}

async fn listen(mut listener: Listener, passed: &mpsc::Sender<Caught>, limits: &Limits) {
    let mut count = 0;
    let mut first = None;
    loop {
        let patience = match (count, limits.patience.load(Ordering::Relaxed)) {
            (0, _) | (1, 0) => None,
            (1, millis) => Some(Duration::from_millis(millis.into())),
            _ => Some(GIVEN_UP),
        };
        let over = async {
            match first.zip(patience) {
                Some((first, patience)) => {
                    tokio::time::sleep(patience).await;
                    first
                }
                None => std::future::pending().await,
            }
        };
        let caught = tokio::select! {
            caught = listener.recv() => caught,
            first = over => end(first),
        };
        count += 1;
        if count > limits.taken.load(Ordering::Relaxed) {
            end(caught);
        }
        first.get_or_insert(caught);
        // A channel that is full has more than the command will take.
        let _ = passed.try_send(caught);
    }
}

/// How long a command may take to tell what it gave up at the second signal.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// At once, whatever the rest of the program is doing.
fn end(caught: Caught) -> ! {
    std::process::exit(caught.exit_code().into())
}

#[cfg(unix)]
struct Listener {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Listener {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let ignored = Ignored::at_start();
        let listen = |kind: SignalKind| match ignored.has(kind.as_raw_value()) {
            true => Ok(None),
            false => signal(kind).map(Some),
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn recv(&mut self) -> Caught {
        async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = next(&mut self.interrupt) => Caught::Interrupt,
            () = next(&mut self.terminate) => Caught::Terminate,
            () = next(&mut self.hangup) => Caught::Hangup,
        }
    }
}

#[cfg(not(unix))]
struct Listener;

#[cfg(not(unix))]
impl Listener {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn recv(&mut self) -> Caught {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Caught::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

/// The signals that are ignored, a bit each, as Linux tells them; elsewhere none is known to be.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ignored(u64);

#[cfg(unix)]
impl Ignored {
    /// To be asked before the first signal is caught. The system's own question for this, `sigaction`, is not safe Rust.
    fn at_start() -> Self {
        std::fs::read_to_string("/proc/self/status").map_or(Self(0), |status| Self::of(&status))
    }

    fn of(status: &str) -> Self {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
    }

    fn has(self, signal: i32) -> bool {
        let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
        bit.and_then(|bit| 1_u64.checked_shl(bit)).is_some_and(|bit| self.0 & bit != 0)
    }
}

/// Signals on their way to the command, more than any takes.
const PASSED: usize = 4;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_systems_own_words() {
        // A process that `nohup` started, in the background of a script: SIGHUP, SIGINT and SIGQUIT.
        let ignored =
            Ignored::of("Name:\tlinger\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000007\nSigCgt:\t0\n");
        assert_eq!([1, 2, 3, 15].map(|signal| ignored.has(signal)), [true, true, true, false]);
        for status in ["", "SigIgn:", "SigIgn:\tx\n", "SigIgn:\t0\n"] {
            assert_eq!(Ignored::of(status), Ignored(0), "{status:?}");
        }
        assert!(![0, -1, 65, i32::MAX].iter().any(|&signal| Ignored(u64::MAX).has(signal)));
    }
}
