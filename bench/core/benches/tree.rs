//! What a PUBLISH costs in the filter tree, and what a SUBSCRIBE and an UNSUBSCRIBE cost.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

use std::hint::black_box;

use bench_core::{WORKLOADS, Workload};
use criterion::Criterion;

mod common;

fn main() {
    let mut criterion = common::criterion();
    for workload in &WORKLOADS {
        measure(&mut criterion, workload);
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, workload: &Workload) {
    let mut group = criterion.benchmark_group(format!("tree/{}", workload.name));
    let filters = workload.filters();
    let mut tree = Workload::tree(&filters);
    let topics = workload.topics();
    let mut next = topics.iter().cycle();
    group.bench_function("match", |bencher| {
        bencher.iter(|| {
            let mut found = 0;
            tree.for_each_match(next.next().unwrap(), |value| found += value);
            black_box(found)
        });
    });
    let mut next = filters.iter().step_by(7).cycle();
    group.bench_function("remove and insert", |bencher| {
        bencher.iter(|| {
            let filter = next.next().unwrap();
            tree.retain(filter, |_| false);
            *tree.entry(filter) = 1;
        });
    });
    group.finish();
}
