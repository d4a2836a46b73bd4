//! Many seeds. A failing one is printed; `SIM_SEED=17 cargo test -p sim` runs it alone, and `SIM_SEEDS=5000`
//! so many.

use sim::run::{Faults, Summary, run};

/// Prints the seed when its run panics.
struct Announced(u64, Faults);

impl Drop for Announced {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SIM_SEED={} fails with faults: {:?}", self.0, self.1);
        }
    }
}

fn run_seeds(count: u64, faults: Faults) -> Summary {
    let chosen = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let count = chosen("SIM_SEEDS").unwrap_or(count);
    let seeds = chosen("SIM_SEED").map_or(0..count, |seed: u64| seed..seed + 1);
    let mut sum = Summary::default();
    for seed in seeds {
        let _announced = Announced(seed, faults);
        let summary = run(seed, faults);
        sum.published += summary.published;
        sum.delivered += summary.delivered;
        sum.faults += summary.faults;
    }
    sum
}

#[test]
fn without_faults_every_message_reaches_everybody_who_needs_it_once_and_in_order() {
    let sum = run_seeds(100, Faults::None);
    assert!(sum.delivered > sum.published / 2, "little was delivered: {sum:?}");
}

#[test]
fn with_faults_nothing_comes_twice_and_all_agree_afterwards() {
    let sum = run_seeds(200, Faults::All);
    assert!(sum.faults > 0 && sum.delivered > sum.published / 10, "little happened: {sum:?}");
}

#[test]
fn same_seed_makes_the_same_run() {
    assert_eq!(run(7, Faults::All), run(7, Faults::All));
}
