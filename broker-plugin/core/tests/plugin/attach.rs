//! How the broker attaches, keeps its lease, and leaves.

use broker_core::{Close, Config, Event, Input, LinkState, Output, StreamId};
use ha_types::link::{
    Downstream, GoodbyeReason, Hello, RetainedUse, Upstream, VersionRange, Welcome,
};
use ha_types::{BrokerEpoch, ClusterMillis, PublishNumber, ServerIncarnation};

use crate::common::{
    ADDRESSES, Bench, Outputs, config, deliver, goodbye, publish, update, welcome,
};

/// Answers every heartbeat until `end`.
fn keep_until(bench: &mut Bench, end: u64) {
    while bench.plugin.deadline().unwrap().0 <= end {
        for sequence in bench.at_deadline().heartbeats() {
            bench.step(Input::HeartbeatKept(bench.stream(), sequence, 0));
        }
    }
    bench.at(end);
}

fn fail(bench: &mut Bench) -> Outputs {
    bench.step(Input::Broken(bench.stream(), "refused".into()))
}

#[test]
fn new_plugin_dials_at_once_and_says_hello_first() {
    let mut bench = Bench::fresh();
    assert_eq!(bench.plugin.deadline().unwrap().0, 0);
    let outputs = bench.at(0);
    let [Output::Dial(stream, _), Output::Send(on, Upstream::Hello(hello))] = &outputs.0[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(stream, on);
    let Config { name, incarnation, software, .. } = config();
    let versions = VersionRange { min: 1, max: 1 };
    let retained = RetainedUse::Copy;
    assert_eq!(*hello, Hello { versions, name, incarnation, software, retained });
    assert_eq!(bench.plugin.link_state(), LinkState::Attaching);
}

#[test]
fn failure_leads_to_the_next_address_and_after_the_last_to_the_first() {
    let mut bench = Bench::fresh();
    let mut dialled = bench.at(0).dialled();
    for _ in 0..3 {
        fail(&mut bench);
        dialled.extend(bench.at_deadline().dialled());
    }
    assert_eq!(dialled, [0, 1, 0, 1]);
}

#[test]
fn broker_comes_back_first_to_the_address_where_it_outlived_a_lease() {
    let mut bench = Bench::fresh();
    bench.at(0);
    fail(&mut bench);
    bench.at_deadline();
    bench.receive(Downstream::Welcome(welcome()));
    let end = bench.now() + 1_000;
    keep_until(&mut bench, end);
    fail(&mut bench);
    assert_eq!(bench.at_deadline().dialled(), [1], "the good one");
    fail(&mut bench);
    assert_eq!(bench.at_deadline().dialled(), [0], "the next one");
}

#[test]
fn address_that_welcomes_but_answers_no_heartbeat_is_left_for_the_next() {
    let mut bench = Bench::attached();
    while bench.plugin.link_state() == LinkState::Attached {
        bench.at_deadline();
    }
    assert_eq!(bench.at_deadline().dialled(), [1]);
}

#[test]
fn delay_grows_with_each_failure_and_is_bounded() {
    let mut bench = Bench::fresh();
    for _ in 0..ADDRESSES.len() {
        bench.at_deadline();
        assert_eq!(fail(&mut bench).left().unwrap().1, 0, "each address at once");
    }
    for bound in [100, 200, 400, 800, 800, 800] {
        bench.at_deadline();
        let delay = fail(&mut bench).left().unwrap().1;
        assert!((bound / 2..=bound).contains(&delay), "{delay} for {bound}");
        assert_eq!(bench.plugin.deadline().unwrap().0, bench.now() + delay);
    }
}

#[test]
fn delay_grows_while_every_welcome_is_followed_by_goodbye() {
    let mut bench = Bench::fresh();
    let mut delay = 0;
    for _ in 0..ADDRESSES.len() + 3 {
        bench.attach_again(welcome());
        let refused = goodbye(GoodbyeReason::ProtocolError, "more than 10 topic filters");
        delay = bench.receive(refused).left().unwrap().1;
    }
    assert!(delay >= 200, "{delay}");
}

#[test]
fn delay_is_short_again_after_an_attachment_that_outlived_a_lease() {
    for (lasted, shortest) in [(999, 100), (1_000, 0)] {
        let mut bench = Bench::fresh();
        bench.fail_until_it_waits();
        bench.attach_again(welcome());
        let end = bench.now() + lasted;
        keep_until(&mut bench, end);
        let delay = fail(&mut bench).left().unwrap().1;
        assert!((shortest..=2 * shortest).contains(&delay), "{delay} after {lasted} ms");
    }
}

#[test]
fn silence_instead_of_welcome_ends_the_attempt_exactly_at_the_timeout() {
    let mut bench = Bench::fresh();
    bench.at(0);
    assert_eq!(bench.at(999).0, []);
    let outputs = bench.at(1_000);
    assert_eq!(outputs.closed(), [(StreamId(1), Close::Drop)]);
    assert_eq!(outputs.left().unwrap().0, "no answer to Hello");
    assert_eq!(bench.plugin.link_state(), LinkState::Detached);
}

#[test]
fn unknown_version_in_welcome_is_refused_with_both_sides_versions() {
    let mut bench = Bench::fresh();
    bench.at(0);
    for version in [0, 2] {
        let outputs = bench.receive(Downstream::Welcome(Welcome { version, ..welcome() }));
        let expected =
            format!("ha-server chose protocol version {version}, this broker speaks 1 to 1");
        assert_eq!(outputs.left().unwrap().0, expected);
        assert_eq!(bench.plugin.link_state(), LinkState::Detached);
        bench.at_deadline();
    }
}

#[test]
fn goodbye_instead_of_welcome_is_passed_on_and_tried_again() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let outputs = bench.receive(goodbye(GoodbyeReason::NameInUse, "set NAME"));
    assert_eq!(outputs.left().unwrap().0, "set NAME");
    assert_eq!(bench.at_deadline().dialled(), [1]);
}

#[test]
fn first_item_that_is_not_welcome_ends_the_attempt() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let outputs = bench.receive(deliver("t", "x", 0));
    assert_eq!(outputs.left().unwrap().0, "ha-server's first item was not Welcome");
    assert!(outputs.delivered().is_empty());
}

#[test]
fn second_welcome_ends_the_stream_and_what_follows_it_is_ignored() {
    let mut bench = Bench::attached();
    let items = vec![Downstream::Welcome(welcome()), deliver("t", "x", 0)];
    let outputs = bench.receive_all(items);
    assert_eq!(outputs.left().unwrap().0, "a second Welcome");
    assert!(outputs.delivered().is_empty());
}

#[test]
fn welcome_is_told_with_epoch_and_program() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let outputs = bench.receive(Downstream::Welcome(welcome()));
    assert_eq!(outputs.notes(), [&Event::Attached(BrokerEpoch(5), "ha-server test".into())]);
}

#[test]
fn whatever_comes_from_an_old_stream_is_ignored() {
    let mut bench = Bench::attached();
    let old = bench.stream();
    bench.break_stream();
    bench.attach_again(welcome());
    let items = vec![deliver("t", "x", 9), goodbye(GoodbyeReason::LeaseExpired, "old")];
    let inputs = [
        Input::Received(old, items),
        Input::Broken(old, "late".into()),
        Input::HeartbeatFenced(old),
        Input::HeartbeatKept(old, 1, 0),
    ];
    for input in inputs {
        assert_eq!(bench.step(input).0, []);
    }
    assert_eq!(bench.plugin.link_state(), LinkState::Attached);
    assert_eq!(bench.retained("#"), [""; 0]);
}

#[test]
fn stop_says_goodbye_and_nothing_is_dialled_afterwards() {
    let mut bench = Bench::attached();
    let outputs = bench.step(Input::Stop);
    assert_eq!(outputs.sent(), [&Upstream::Leave]);
    assert_eq!(outputs.closed(), [(StreamId(1), Close::Goodbye)]);
    assert_eq!(bench.plugin.deadline(), None);
    assert_eq!(bench.at(1_000_000).0, []);
}

#[test]
fn plugin_that_is_alone_never_dials() {
    let mut bench = Bench::alone();
    assert_eq!(bench.plugin.deadline(), None);
    bench.publish(publish("t", "x"));
    assert_eq!(bench.at(1_000_000).0, []);
    assert_eq!(bench.plugin.link_state(), LinkState::Alone);
    assert!(bench.plugin.is_loaded());
}

#[test]
fn absurd_numbers_in_welcome_do_no_harm() {
    let absurd = Welcome {
        lease_ms: u64::MAX,
        heartbeat_ms: u64::MAX,
        cluster_time: ClusterMillis(u64::MAX),
        epoch: BrokerEpoch(u64::MAX),
        server: ServerIncarnation(u64::MAX),
        publish_window: u32::MAX,
        ..welcome()
    };
    let none = Welcome { lease_ms: 1, heartbeat_ms: 0, publish_window: 0, ..welcome() };
    for welcome in [absurd, none] {
        let mut bench = Bench::attached_with(welcome);
        bench.publish(publish("t", "x").expires_in_s(u32::MAX));
        bench.at(10_000);
        bench.publish(publish("t", "x").retained().expires_in_s(1));
        bench.transfer(vec![update("t", "x", u64::MAX)], u64::MAX);
        bench.retained("#");
    }
}

#[test]
fn outbox_without_room_does_no_harm_either() {
    let mut bench = Bench::new(Config { outbox_max: 0, ..config() });
    bench.attach_again(welcome());
    assert_eq!(bench.plugin.link_state(), LinkState::Attached);
    assert_eq!(bench.publish(publish("t", "x")).publishes().len(), 1);
}

#[test]
fn server_that_took_more_than_was_sent_knows_another_broker_of_our_name() {
    for (taken_upto, state) in [(2, LinkState::Attached), (3, LinkState::Detached)] {
        let mut bench = Bench::attached();
        bench.publish(publish("t", "1"));
        bench.publish(publish("t", "2"));
        bench.break_stream();
        bench.attach_again(Welcome { taken_upto: PublishNumber(taken_upto), ..welcome() });
        assert_eq!(bench.plugin.link_state(), state, "{taken_upto}");
        let kept = if state == LinkState::Attached { 0 } else { 2 };
        assert_eq!(bench.plugin.outbox_len(), kept, "nothing is lost by a mistake");
    }
}
