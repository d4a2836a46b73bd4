//! Shows how far a measurement is, when somebody looks on: on stderr, if it is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{self, Instant};

/// Between two changes of what is shown of a time that passes.
const TICK: Duration = Duration::from_secs(1);

const TIME: &str = "{msg} {wide_bar} {pos}/{len} s";
const COUNT: &str = "{msg} {wide_bar} {pos}/{len}";

/// Gone when it is dropped. Clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of a time that passes.
    pub(crate) fn of_time(what: &'static str, total: Duration) -> Self {
        Self::new(what, total.as_secs(), TIME)
    }

    /// Of a number of things.
    pub(crate) fn of_count(what: &'static str, total: u64) -> Self {
        Self::new(what, total, COUNT)
    }

    fn new(what: &'static str, total: u64, template: &str) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template(template).expect("the tests parse each of them");
        let bar = ProgressBar::with_draw_target(Some(total), target);
        Self(bar.with_style(style).with_message(what))
    }

    /// One more thing.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Waits, and counts the seconds.
    pub(crate) async fn sleep(&self, duration: Duration) {
        let start = Instant::now();
        let mut next = start + TICK;
        while next <= start + duration {
            time::sleep_until(next).await;
            self.step();
            next += TICK;
        }
        time::sleep_until(start + duration).await;
    }

    /// What was shown is gone.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in [TIME, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn things_are_counted() {
        let progress = Progress::of_count("made", 2);
        let same = progress.clone();
        same.step();
        assert_eq!((progress.0.position(), progress.0.length()), (1, Some(2)));
    }
}
