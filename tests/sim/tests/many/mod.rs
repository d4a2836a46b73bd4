//! Many seeds on all processors. One that fails is printed, and kept in a file of seeds that are always
//! run.

use std::io::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Prints and keeps the seed when its run panics.
struct Announced<'a> {
    seed: u64,
    kept: &'a Kept,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("SIM_SEED={} fails", self.seed);
            self.kept.keep(self.seed);
        }
    }
}

/// Seeds that failed once: the first word of each line, with what was wrong behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// Where they are.
    pub(crate) path: &'static str,
    /// What is there.
    pub(crate) text: &'static str,
}

impl Kept {
    /// All of them.
    pub(crate) fn seeds(&self) -> Vec<u64> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
    }

    fn keep(&self, seed: u64) {
        if self.seeds().contains(&seed) {
            return;
        }
        let file = std::fs::OpenOptions::new().append(true).open(self.path);
        match file.and_then(|mut file| writeln!(file, "{seed} not looked at")) {
            Ok(()) => eprintln!("it is kept in {}", self.path),
            Err(error) => eprintln!("it cannot be kept in {}: {error}", self.path),
        }
    }
}

/// Runs seeds until they or the time end. `SIM_SEED` runs that one instead.
pub(crate) fn run<T: Send>(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    time: Duration,
    kept: &Kept,
    one: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    if let Some(seed) = number("SIM_SEED") {
        let _announced = Announced { seed, kept };
        return vec![one(seed)];
    }
    let (seeds, done) = (Mutex::new(seeds.into_iter()), Mutex::new(Vec::new()));
    let start = Instant::now();
    let work = || {
        while start.elapsed() < time
            && let Some(seed) = { seeds.lock().unwrap().next() }
        {
            let _announced = Announced { seed, kept };
            let summary = one(seed);
            done.lock().unwrap().push(summary);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    done.into_inner().unwrap()
}

/// Seeds that nobody has run, for so long: from `SIM_FIRST` on, for `SIM_SECONDS`.
pub(crate) fn fresh() -> (Range<u64>, Duration) {
    let first = number("SIM_FIRST").expect("SIM_FIRST is the first seed");
    let seconds = number("SIM_SECONDS").expect("SIM_SECONDS is how long it takes");
    (first..u64::MAX, Duration::from_secs(seconds))
}
