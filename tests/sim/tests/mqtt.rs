//! Many seeds of the group of nodes with MQTT clients. A failing one is printed;
//! `SIM_SEED=17 cargo test -p sim --test mqtt` runs it alone, `SIM_SEEDS=1000` more of them.

use sim::mqtt::run::{Faults, Summary, run, shares};

/// Prints the seed when its run panics.
struct Announced(u64, Faults);

impl Drop for Announced {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SIM_SEED={} fails with faults: {:?}", self.0, self.1);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn run_seeds(count: u64, faults: Faults, work_ms: u64) -> Vec<Summary> {
    let count = number("SIM_SEEDS").unwrap_or(count);
    let seeds = number("SIM_SEED").map_or(0..count, |seed| seed..seed + 1);
    let one = |seed| {
        let _announced = Announced(seed, faults);
        let summary = run(seed, faults, work_ms);
        if std::env::var_os("SIM_HISTORY").is_some() {
            for (at, event) in summary.history.events() {
                eprintln!("{at} {}", summary.history.in_words(event));
            }
        }
        assert!(summary.verdict.is_clean(), "{}", summary.verdict);
        summary
    };
    seeds.map(one).collect()
}

#[test]
fn without_faults_every_promise_is_kept() {
    let runs = run_seeds(20, Faults::None, 5_000);
    let delivered: u64 = runs.iter().map(|run| run.verdict.counts.delivered).sum();
    assert!(delivered > 1_000, "{delivered}");
}

#[test]
fn with_faults_every_promise_is_kept() {
    let runs = run_seeds(20, Faults::All, 15_000);
    assert!(runs.iter().any(|run| run.terms > 3), "leaders change");
}

fn run_shares(count: u64, faults: Faults, work_ms: u64) -> Vec<shares::Shares> {
    let count = number("SIM_SEEDS").unwrap_or(count);
    let seeds = number("SIM_SEED").map_or(0..count, |seed| seed..seed + 1);
    let one = |seed| {
        let _announced = Announced(seed, faults);
        let shares = shares::run(seed, faults, work_ms);
        assert!(shares.verdict.is_clean(), "{}", shares.verdict);
        shares
    };
    seeds.map(one).collect()
}

#[test]
fn without_faults_each_message_of_a_group_has_one_member_and_all_have_as_many() {
    for run in run_shares(10, Faults::None, 5_000) {
        assert!(run.acknowledged > 100, "{run:?}");
        for (most, fewest) in run.spread {
            assert!((most - fewest) * 10 <= most, "within a tenth: {run:?}");
        }
    }
}

#[test]
fn with_faults_no_message_of_a_group_is_lost() {
    let runs = run_shares(20, Faults::All, 15_000);
    assert!(runs.iter().any(|run| run.terms > 3), "leaders change");
}
