//! Bytes per filter, the longest single insert, and whether memory is used again.
//!
//! Resident memory of the process, from `/proc/self/statm`: elsewhere than on Linux nothing is
//! printed. Each workload has a process of its own, because an allocator keeps what was freed.
//! The filters themselves are not counted: their owners hold them too.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::env;
use std::process::Command;
use std::time::Instant;

use bench_core::{WORKLOADS, Workload};
use ha_types::{FilterTree, TopicFilter};

const PAGE_BYTES: i64 = 4_096;

fn main() {
    let number = env::args().nth(1).and_then(|argument| argument.parse::<usize>().ok());
    if let Some(number) = number {
        return println!("{}", row(&WORKLOADS[number]).unwrap_or_default());
    }
    println!(
        "| workload | B/filter | more when filled again | insert, ns | longest, µs | remove, ns |"
    );
    println!("|---|---|---|---|---|---|");
    for (number, workload) in WORKLOADS.iter().enumerate().filter(|(_, w)| w.filters >= 10_000) {
        let mut own = Command::new(env::current_exe().unwrap());
        let output = own.arg(number.to_string()).output().unwrap();
        print!("| {} | {}", workload.name, String::from_utf8(output.stdout).unwrap());
    }
}

fn row(workload: &Workload) -> Option<String> {
    let filters = workload.filters();
    let count = i64::try_from(filters.len()).unwrap();
    let before = resident()?;
    let mut tree = FilterTree::new();
    let (insert, longest) = fill(&mut tree, &filters);
    let full = resident()?;
    let remove = empty(&mut tree, &filters);
    fill(&mut tree, &filters);
    let again = resident()?;
    let (used, more) = ((full - before) / count, (again - full) / count);
    Some(format!("{used} | {more} | {insert} | {longest} | {remove} |"))
}

/// Nanoseconds per insert, and microseconds of the longest.
fn fill(tree: &mut FilterTree<u64>, filters: &[TopicFilter]) -> (u128, u128) {
    let (start, mut longest) = (Instant::now(), 0);
    for filter in filters {
        let start = Instant::now();
        *tree.entry(filter) = 1;
        longest = longest.max(start.elapsed().as_micros());
    }
    (start.elapsed().as_nanos() / u128::try_from(filters.len()).unwrap(), longest)
}

/// Nanoseconds per removal.
fn empty(tree: &mut FilterTree<u64>, filters: &[TopicFilter]) -> u128 {
    let start = Instant::now();
    for filter in filters {
        tree.retain(filter, |_| false);
    }
    assert!(tree.is_empty());
    start.elapsed().as_nanos() / u128::try_from(filters.len()).unwrap()
}

fn resident() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<i64>().ok()? * PAGE_BYTES)
}
