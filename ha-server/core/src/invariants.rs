//! What is true of a [`Distributor`] between any two steps. Only tests ask.

use std::collections::BTreeMap;

use ha_types::TopicFilter;
use ha_types::link::{Needs, Origin};

use crate::broker::Link;
use crate::broker_set::BrokerSet;
use crate::distributor::{Distributor, Stream};
use crate::fan_out::Interested;
use crate::retained::Transfer;

impl Distributor {
    /// Panics when an invariant is broken. One function for each.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        interest_tree_agrees_with_the_filters_of_brokers(self);
        filters_of_a_broker_are_bounded_and_a_lost_one_has_none(self);
        sets_of_brokers_agree_with_their_links(self);
        streams_and_brokers_point_at_each_other(self);
        behind_follows_the_queue_with_hysteresis(self);
        held_publishes_are_dense_bounded_and_end_at_the_last_taken(self);
        publish_waits_for_whoever_has_not_received_it(self);
        first_held_publish_of_an_attached_broker_waits_for_something(self);
        answers_are_counted_only_while_behind(self);
        detached_brokers_queue_nothing_and_lost_ones_are_owed_nothing(self);
        receipts_count_what_was_sent(self);
        unfinished_transfer_waits_for_room(self);
        asks_that_are_done_were_told(self);
    }
}

fn interest_tree_agrees_with_the_filters_of_brokers(state: &Distributor) {
    let mut expected: BTreeMap<&TopicFilter, Interested> = BTreeMap::new();
    for (&slot, broker) in &state.brokers {
        for (filter, needs) in broker.filters.iter().chain(&broker.stale_filters) {
            let of = expected.entry(filter).or_default();
            match needs {
                Needs::All => of.all.insert(slot),
                Needs::AtMostOnce => of.at_most_once.insert(slot),
            }
        }
        let is_new = |filter: &&TopicFilter| !broker.filters.contains_key(*filter);
        assert_eq!(broker.stale_filters.keys().filter(is_new).count(), broker.stale_filters.len());
    }
    assert_eq!(state.interest.len(), expected.len());
    for (filter, brokers) in expected {
        assert_eq!(state.interest.get(filter), Some(&brokers), "{filter}");
    }
}

fn filters_of_a_broker_are_bounded_and_a_lost_one_has_none(state: &Distributor) {
    for broker in state.brokers.values() {
        let is_gone = !state.living.contains(broker.slot);
        let most = if is_gone { 0 } else { state.config.filters_max };
        assert!(broker.filters.len() <= most && broker.stale_filters.len() <= most, "{broker:?}");
    }
}

fn sets_of_brokers_agree_with_their_links(state: &Distributor) {
    let (mut with_stream, mut living) = (BrokerSet::default(), state.leaving);
    assert_eq!(state.by_epoch.len(), state.living.minus(state.leaving).iter().count());
    for broker in state.brokers.values().filter(|broker| !broker.is_lost()) {
        assert!(!state.leaving.contains(broker.slot));
        living.insert(broker.slot);
        broker.stream().into_iter().for_each(|_| with_stream.insert(broker.slot));
        assert_eq!(state.by_epoch.get(&broker.epoch), Some(&broker.slot));
    }
    assert_eq!((state.attached, state.living), (with_stream, living));
    assert!(state.resumed.minus(state.attached).is_empty());
    assert!(state.unknown.minus(state.living).is_empty());
    assert!(state.unknown.and(state.resumed).is_empty());
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

fn held_publishes_are_dense_bounded_and_end_at_the_last_taken(state: &Distributor) {
    for broker in state.brokers.values() {
        let publishes = &broker.publishes;
        assert!(publishes.held.len() <= state.config.publish_window as usize);
        let numbers = publishes.held.iter().map(|held| held.number);
        let dense = numbers.clone().zip(numbers.skip(1)).all(|(a, b)| a.0 + 1 == b.0);
        assert!(dense, "{publishes:?}");
        let last = publishes.held.back().map(|held| held.number);
        assert!(last.is_none() || last == publishes.taken, "{publishes:?}");
        assert!(publishes.said <= publishes.taken, "{publishes:?}");
        let in_log = publishes.held.iter().filter(|held| held.answer.is_none());
        assert_eq!(in_log.count(), publishes.in_log, "{publishes:?}");
    }
}

/// Neither is an answer held for nothing, nor is one given too early.
fn publish_waits_for_whoever_has_not_received_it(state: &Distributor) {
    let mut owed = BTreeMap::new();
    for (&slot, broker) in &state.brokers {
        for source in broker.receipts.unreceived.iter().filter_map(|item| item.source) {
            let at = (source.broker, source.origin.number);
            owed.entry(at).or_insert_with(BrokerSet::default).insert(slot);
        }
    }
    for (number, waits_for) in state.wills.iter() {
        let by = owed.remove(&(Origin::WILLS, *number)).unwrap_or_default();
        assert_eq!(*waits_for, by, "will {number}");
    }
    for broker in state.brokers.values() {
        for held in &broker.publishes.held {
            let by = owed.remove(&(broker.epoch, held.number)).unwrap_or_default();
            assert_eq!(held.waits_for, by, "{held:?}");
        }
    }
    for (broker, number) in owed.keys() {
        let is_over = *broker != Origin::WILLS && !state.by_epoch.contains_key(broker);
        assert!(is_over, "{number} of {broker} was answered");
    }
}

fn first_held_publish_of_an_attached_broker_waits_for_something(state: &Distributor) {
    for slot in state.attached.iter() {
        let publishes = &state.brokers[&slot].publishes;
        let Some(first) = publishes.held.front() else { continue };
        let waits = first.answer.is_none()
            || first.proof > state.proofs.proven
            || !first.waits_for.is_empty()
            || Some(first.number) > publishes.said;
        assert!(waits, "{publishes:?}");
    }
}

fn answers_are_counted_only_while_behind(state: &Distributor) {
    for broker in state.brokers.values() {
        assert!(broker.answers_bytes == 0 || state.behind.contains(broker.slot), "{broker:?}");
    }
}

fn detached_brokers_queue_nothing_and_lost_ones_are_owed_nothing(state: &Distributor) {
    for broker in state.brokers.values().filter(|broker| broker.stream().is_none()) {
        assert!(broker.queued_bytes == 0 && broker.asks.pending.is_empty(), "{broker:?}");
        let is_owed = !(broker.receipts.unreceived.is_empty() && broker.publishes.held.is_empty());
        let is_gone = broker.is_lost() && !state.leaving.contains(broker.slot);
        assert!(!is_owed || !is_gone, "{broker:?}");
    }
}

fn receipts_count_what_was_sent(state: &Distributor) {
    for slot in state.resumed.iter() {
        let receipts = &state.brokers[&slot].receipts;
        assert_eq!(receipts.unreceived.len() as u64, receipts.sent - receipts.received);
        assert!(receipts.unreceived.iter().all(|item| item.source.is_some()));
    }
}

/// Otherwise nothing would ever continue it.
fn unfinished_transfer_waits_for_room(state: &Distributor) {
    for broker in state.brokers.values() {
        let unfinished = matches!(broker.transfer, Transfer::Running { .. } | Transfer::Due);
        assert!(!unfinished || broker.queued_bytes > state.config.queue_bytes / 2, "{broker:?}");
    }
}

fn asks_that_are_done_were_told(state: &Distributor) {
    assert!(state.asked.is_empty() && state.effects.is_empty());
}
