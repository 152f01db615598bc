//! Many seeds, on all cores.

use std::{
    ops::{ControlFlow, Range},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Has all cores take seed after seed, until none is left or a run says that it is enough; what was begun then comes to its
/// end, so that no seed is left out in front of one that was run. Gives how many were run. With the number of a layer it is said how
/// far it is.
pub(crate) fn on_all_cores(
    seeds: Range<u64>,
    layer: Option<u32>,
    run: impl Fn(u64) -> ControlFlow<()> + Sync,
) -> u64 {
    let began = started();
    let (next, done, is_enough) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        while !is_enough.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            if run(seed).is_break() {
                is_enough.store(true, Ordering::Relaxed);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(layer) = layer.filter(|_| done % PROGRESS == 0) {
                let (count, rate) = (seeds.end - seeds.start, rate(done, began));
                println!("layer {layer}: {done} of {count} seeds, {rate:.0} a second");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    done.into_inner()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how fast seeds are run is told, and nothing else depends on it"
)]
pub(crate) fn started() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "as above")]
pub(crate) fn rate(done: u64, began: std::time::Instant) -> f64 {
    done as f64 / began.elapsed().as_secs_f64()
}

/// A number from the environment, if it is there.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Seeds between two lines that say how far it is.
const PROGRESS: u64 = 500;
