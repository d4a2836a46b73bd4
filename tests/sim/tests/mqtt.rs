//! Many seeds of the group of nodes with MQTT clients. A failing one is printed and kept;
//! `SIM_SEED=17 cargo test -p sim --test mqtt with_faults` runs it alone, with `SIM_HISTORY=1` it says what
//! clients saw; `SIM_SEEDS=1000` runs more of them. `scripts/simulate.sh` runs fresh ones for two minutes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod many;

use std::time::Duration;

use many::Kept;
use sim::mqtt::run::{Faults, Summary, run, shares};

const KEPT: Kept = Kept {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions/mqtt.txt"),
    text: include_str!("regressions/mqtt.txt"),
};

const WORK_MS: u64 = 15_000;

fn one(seed: u64, faults: Faults, work_ms: u64) -> Summary {
    let summary = run(seed, faults, work_ms);
    if std::env::var_os("SIM_HISTORY").is_some() {
        for (at, event) in summary.history.events() {
            eprintln!("{at} {}", summary.history.in_words(event));
        }
    }
    assert!(summary.verdict.is_clean(), "{}", summary.verdict);
    summary
}

fn with_faults(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    time: Duration,
) -> Vec<Summary> {
    many::run(seeds, time, &KEPT, |seed| one(seed, Faults::All, WORK_MS))
}

#[test]
fn without_faults_every_promise_is_kept() {
    let runs = many::run(0..20, Duration::MAX, &KEPT, |seed| one(seed, Faults::None, 5_000));
    let delivered: u64 = runs.iter().map(|run| run.verdict.counts.delivered).sum();
    assert!(delivered > 100, "{delivered}");
}

#[test]
fn with_faults_every_promise_is_kept() {
    let count = many::number("SIM_SEEDS").unwrap_or(20);
    let runs = with_faults((0..count).chain(KEPT.seeds()), Duration::MAX);
    let faults: usize = runs.iter().map(|run| run.faults).sum();
    let terms = runs.iter().map(|run| run.terms).max();
    assert!(runs.len() < 20 || (faults > 100 && terms > Some(3)), "little happened");
}

#[test]
#[ignore = "as long as SIM_SECONDS says: scripts/simulate.sh"]
fn with_faults_every_promise_is_kept_by_fresh_seeds() {
    let (seeds, time) = many::fresh();
    let first = seeds.start;
    let runs = with_faults(seeds, time);
    eprintln!("{} seeds from {first} on keep every promise", runs.len());
    assert!(!runs.is_empty(), "no time for one seed");
}

const KEPT_SHARES: Kept = Kept {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions/shares.txt"),
    text: include_str!("regressions/shares.txt"),
};

fn run_shares(count: u64, faults: Faults, work_ms: u64) -> Vec<shares::Shares> {
    let seeds = (0..many::number("SIM_SEEDS").unwrap_or(count)).chain(KEPT_SHARES.seeds());
    many::run(seeds, Duration::MAX, &KEPT_SHARES, |seed| {
        let shares = shares::run(seed, faults, work_ms);
        assert!(shares.verdict.is_clean(), "{}", shares.verdict);
        shares
    })
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
    let runs = run_shares(20, Faults::All, WORK_MS);
    assert!(runs.len() < 20 || runs.iter().any(|run| run.terms > 3), "leaders change");
}
