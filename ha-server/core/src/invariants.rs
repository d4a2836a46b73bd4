//! What is true of a [`Distributor`] between any two steps. Only tests ask.

use std::collections::BTreeMap;

use ha_types::TopicFilter;

use crate::broker::Link;
use crate::broker_set::BrokerSet;
use crate::distributor::{Distributor, Stream};
use crate::retained::Transfer;

impl Distributor {
    /// Panics when an invariant is broken. One function for each.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        interest_tree_agrees_with_the_filters_of_brokers(self);
        filters_of_a_broker_are_bounded_and_a_lost_one_has_none(self);
        attached_brokers_are_those_with_a_stream(self);
        streams_and_brokers_point_at_each_other(self);
        behind_follows_the_queue_with_hysteresis(self);
        held_results_are_dense_bounded_and_end_at_the_last_taken(self);
        first_held_result_waits_for_somebody_behind(self);
        answers_are_counted_only_while_behind(self);
        detached_brokers_hold_and_queue_nothing(self);
        unfinished_transfer_waits_for_room(self);
        next_version_is_above_all_seen(self);
        epochs_are_distinct_and_below_the_next(self);
    }
}

fn interest_tree_agrees_with_the_filters_of_brokers(state: &Distributor) {
    let mut expected: BTreeMap<&TopicFilter, BrokerSet> = BTreeMap::new();
    for (&slot, broker) in &state.brokers {
        broker.filters.iter().for_each(|f| expected.entry(f).or_default().insert(slot));
    }
    assert_eq!(state.interest.len(), expected.len());
    for (filter, brokers) in expected {
        assert_eq!(state.interest.get(filter), Some(&brokers), "{filter}");
    }
}

fn filters_of_a_broker_are_bounded_and_a_lost_one_has_none(state: &Distributor) {
    for broker in state.brokers.values() {
        let most = if broker.is_lost() { 0 } else { state.config.filters_max };
        assert!(broker.filters.len() <= most, "{broker:?}");
    }
}

fn attached_brokers_are_those_with_a_stream(state: &Distributor) {
    let mut with_stream = BrokerSet::default();
    let attached = state.brokers.values().filter(|broker| broker.stream().is_some());
    attached.for_each(|broker| with_stream.insert(broker.slot));
    assert_eq!(state.attached, with_stream);
}

fn streams_and_brokers_point_at_each_other(state: &Distributor) {
    for (&slot, broker) in &state.brokers {
        assert_eq!(broker.slot, slot);
        if let Some(stream) = broker.stream() {
            assert!(matches!(state.streams[&stream], Stream::Of(at) if at == slot));
        }
    }
    for (&id, stream) in &state.streams {
        if let Stream::Of(slot) = stream {
            assert_eq!(state.brokers[slot].link, Link::Attached(id));
        }
    }
}

fn behind_follows_the_queue_with_hysteresis(state: &Distributor) {
    assert!(state.behind.minus(state.attached).is_empty());
    for broker in state.brokers.values() {
        let (queued, limit) = (broker.queued_bytes, state.config.queue_bytes);
        match state.behind.contains(broker.slot) {
            true => assert!(queued > limit / 2, "behind with {queued} bytes"),
            false => assert!(queued <= limit, "not behind with {queued} bytes"),
        }
    }
}

fn held_results_are_dense_bounded_and_end_at_the_last_taken(state: &Distributor) {
    for broker in state.brokers.values() {
        assert!(broker.held.len() <= state.config.publish_window as usize);
        let numbers = broker.held.iter().map(|held| held.number);
        let dense = numbers.clone().zip(numbers.skip(1)).all(|(a, b)| a.0 + 1 == b.0);
        assert!(dense, "{:?}", broker.held);
        let last = broker.held.back().map(|held| held.number);
        assert!(last.is_none() || last == broker.taken_upto, "{broker:?}");
        assert!(broker.last_number <= broker.taken_upto, "{broker:?}");
    }
}

fn first_held_result_waits_for_somebody_behind(state: &Distributor) {
    for broker in state.brokers.values() {
        let mut held = broker.held.iter();
        assert!(held.clone().all(|held| held.waits_for.minus(state.behind).is_empty()));
        assert!(held.next().is_none_or(|first| !first.waits_for.is_empty()), "{broker:?}");
    }
}

fn answers_are_counted_only_while_behind(state: &Distributor) {
    for broker in state.brokers.values() {
        assert!(broker.answers_bytes == 0 || state.behind.contains(broker.slot), "{broker:?}");
    }
}

fn detached_brokers_hold_and_queue_nothing(state: &Distributor) {
    for broker in state.brokers.values().filter(|broker| broker.stream().is_none()) {
        assert!(broker.held.is_empty() && broker.queued_bytes == 0, "{broker:?}");
    }
}

/// Otherwise nothing would ever continue it.
fn unfinished_transfer_waits_for_room(state: &Distributor) {
    for broker in state.brokers.values() {
        let unfinished = matches!(broker.transfer, Transfer::Running { .. } | Transfer::Due);
        assert!(!unfinished || broker.queued_bytes > state.config.queue_bytes / 2, "{broker:?}");
    }
}

fn next_version_is_above_all_seen(state: &Distributor) {
    assert!(state.next_version > state.retained.version());
}

fn epochs_are_distinct_and_below_the_next(state: &Distributor) {
    let mut epochs: Vec<_> = state.brokers.values().map(|broker| broker.epoch).collect();
    let known = epochs.len();
    epochs.sort();
    epochs.dedup();
    assert_eq!(epochs.len(), known);
    assert!(epochs.last().is_none_or(|&last| last < state.next_epoch));
}
