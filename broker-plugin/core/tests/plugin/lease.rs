//! How long the broker believes in its lease, and what ends it.

use broker_core::{Close, Event, Input, LinkState, Output, StreamId};
use ha_types::BrokerEpoch;
use ha_types::link::{Downstream, GoodbyeReason};

use crate::common::{Bench, goodbye, welcome};

#[test]
fn heartbeats_are_sent_at_once_and_then_at_the_interval() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let outputs = bench.receive(Downstream::Welcome(welcome()));
    assert_eq!(outputs.heartbeats(), [1]);
    assert_eq!(bench.at(249).heartbeats(), []);
    assert_eq!(bench.at(250).0, [Output::Heartbeat(StreamId(1), BrokerEpoch(5), 2)]);
}

#[test]
fn lease_without_answers_ends_exactly_at_its_deadline() {
    let mut bench = Bench::attached();
    assert_eq!(bench.at(999).left(), None);
    let outputs = bench.at(1_000);
    assert_eq!(outputs.left().unwrap().0, "no answer to heartbeats for a whole lease");
    assert_eq!(bench.plugin.link_state(), LinkState::Detached, "not fenced: nobody said so");
}

#[test]
fn lease_counts_from_sending_the_heartbeat_that_was_answered() {
    let mut bench = Bench::attached();
    assert_eq!(bench.at(250).heartbeats(), [2]);
    bench.at(700);
    bench.step(Input::HeartbeatKept(bench.stream(), 2, 0));
    assert_eq!(bench.at(1_249).left(), None);
    assert!(bench.at(1_250).left().is_some());
}

#[test]
fn answer_that_comes_exactly_at_the_deadline_is_too_late() {
    let mut bench = Bench::attached();
    bench.at(999);
    bench.at(1_000);
    bench.step(Input::HeartbeatKept(StreamId(1), 4, 0));
    assert_eq!(bench.plugin.link_state(), LinkState::Attaching, "anew");
}

#[test]
fn welcome_that_comes_a_whole_lease_after_hello_attaches_to_nothing() {
    for (delay, state) in [(999, LinkState::Attached), (1_000, LinkState::Attaching)] {
        let mut bench = Bench::fresh();
        bench.at(0);
        bench.at(delay);
        bench.receive(Downstream::Welcome(welcome()));
        assert_eq!(bench.plugin.link_state(), state, "after {delay} ms");
    }
}

#[test]
fn broker_is_fenced_by_the_answer_to_a_heartbeat() {
    let mut bench = Bench::attached();
    let outputs = bench.step(Input::HeartbeatFenced(bench.stream()));
    assert!(matches!(outputs.notes()[..], [Event::Fenced(..)]), "{outputs:?}");
    assert_eq!(outputs.closed(), [(StreamId(1), Close::Drop)]);
    assert_eq!(bench.plugin.link_state(), LinkState::Fenced);
    assert_eq!(bench.at_deadline().dialled().len(), 1, "for a new epoch");
}

#[test]
fn broker_is_fenced_by_goodbye_lease_expired_and_by_no_other() {
    let reasons = [
        (GoodbyeReason::LeaseExpired, LinkState::Fenced),
        (GoodbyeReason::ShuttingDown, LinkState::Detached),
        (GoodbyeReason::Replaced, LinkState::Detached),
        (GoodbyeReason::TooSlow, LinkState::Detached),
        (GoodbyeReason::NotLeader, LinkState::Detached),
    ];
    for (reason, state) in reasons {
        let mut bench = Bench::attached();
        assert_eq!(bench.receive(goodbye(reason, "why")).left().unwrap().0, "why");
        assert_eq!(bench.plugin.link_state(), state, "{reason:?}");
    }
}
