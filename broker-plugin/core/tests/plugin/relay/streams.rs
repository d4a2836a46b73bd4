//! What goes up again on a new stream, under the same epoch and under another; and where it leads.

use broker_core::{Input, LinkState, Output, Target};
use ha_types::link::{Downstream, Goodbye, GoodbyeReason, Welcome};
use ha_types::session::{Lifetime, Tell};
use ha_types::{AskNumber, BrokerEpoch, PublishNumber};

use super::common::{acknowledge, attached, key, open, queued, subscribe, subscribed};
use crate::common::{ADDRESSES, Bench, Outputs, publish, welcome};

const DURABLE: Lifetime = Lifetime::Unlimited;

fn dialled(outputs: &Outputs) -> Vec<&Target> {
    let dialled = outputs.0.iter().filter_map(|output| match output {
        Output::Dial(_, target) => Some(target),
        _ => None,
    });
    dialled.collect()
}

fn not_leader(leader: Option<&str>) -> Downstream {
    let leader = leader.map(Into::into);
    Downstream::Goodbye(Goodbye { reason: GoodbyeReason::NotLeader, detail: "no".into(), leader })
}

#[test]
fn interest_and_sessions_come_first_and_then_what_was_not_done_in_the_order_of_first_sending() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.serve(2, Lifetime::Connection, 2);
    bench.ask(subscribe(1, 1, "a"));
    bench.tell(1, subscribed(1, 1));
    bench.asked(3);
    bench.publish(publish("t", "p1").of(1, 1));
    bench.ask(subscribe(2, 1, "b"));
    bench.publish(publish("t", "p2").of(1, 2));
    bench.tell(1, queued(1, 8));
    bench.break_stream();
    bench.ask(acknowledge(1, 8));
    bench.publish(publish("t", "p3").of(1, 3));
    let up = bench.attach_again(welcome()).up();
    let expected = [
        "+b",
        "+0 a",
        "resume 1 8",
        "resume 2 5",
        "resumed",
        "publish 1 p1!",
        "ask 4 subscribe 2",
        "publish 2 p2!",
        "ask 5 progress 1 1",
        "publish 3 p3!",
    ];
    assert_eq!(up, expected);
}

#[test]
fn what_was_done_is_asked_again_only_for_an_answer_that_did_not_come() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.ask(acknowledge(1, 6));
    bench.ask(subscribe(1, 1, "a"));
    bench.ask(subscribe(1, 2, "b"));
    bench.tell(1, subscribed(1, 1));
    bench.break_stream();
    let up = bench.attach_again(Welcome { asked_upto: AskNumber(4), ..welcome() }).up();
    assert_eq!(up[up.len() - 2..], ["resumed", "ask 4 subscribe 1"]);
}

#[test]
fn publish_that_was_taken_is_sent_again_for_its_answer() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.publish(publish("t", "x").of(1, 1));
    bench.break_stream();
    let up = bench.attach_again(Welcome { taken_upto: PublishNumber(1), ..welcome() }).up();
    assert_eq!(up.last().unwrap(), "publish 1 x!");
}

#[test]
fn progress_of_one_session_waits_as_one_ask() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.break_stream();
    (6..9).for_each(|offset| drop(bench.ask(acknowledge(1, offset))));
    let up = bench.attach_again(welcome()).up();
    assert_eq!(up.last().unwrap(), "ask 2 progress 1 3");
}

#[test]
fn another_epoch_ends_every_session_and_what_it_had_unanswered() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.ask(subscribe(1, 1, "a"));
    bench.publish(publish("t", "x").of(1, 1));
    bench.break_stream();
    let outputs = bench.attach_again(Welcome { epoch: BrokerEpoch(6), ..welcome() });
    assert_eq!(outputs.up(), ["resumed"]);
    assert_eq!(outputs.told(), [(1, &Tell::Fenced { session: key(1) })]);
    assert_eq!((bench.plugin.outbox_len(), bench.plugin.asks_len()), (0, 0));
    assert_eq!(bench.ask(open(2, DURABLE)).up(), ["ask 1 open 2"]);
    bench.tell(2, Tell::Opened(super::common::opened(2)));
    assert_eq!(bench.publish(publish("t", "x").of(2, 1)).up(), ["publish 2 x!"], "1 is gone");
}

#[test]
fn host_with_sessions_of_its_own_keeps_its_publishes_and_their_numbers() {
    let mut bench = Bench::attached();
    for payload in ["1", "2", "3"] {
        bench.publish(publish("t", payload).retained());
    }
    bench.result(1, 1);
    bench.break_stream();
    let sent = bench.attach_again(Welcome { epoch: BrokerEpoch(6), ..welcome() }).publishes();
    assert_eq!(sent, [(2, "2".into()), (3, "3".into())]);
    bench.result(2, 2);
    bench.result(3, 3);
    assert_eq!(bench.retained("#"), ["t=3"]);
    assert_eq!(bench.publish(publish("t", "4")).publishes(), [(4, "4".into())]);
}

#[test]
fn more_asks_done_than_were_asked_end_the_stream() {
    let mut bench = attached();
    assert!(bench.asked(1).left().is_some());
    let mut bench = attached();
    bench.break_stream();
    bench.attach_again(Welcome { asked_upto: AskNumber(1), ..welcome() });
    assert_eq!(bench.plugin.link_state(), LinkState::Detached);
}

#[test]
fn leader_that_another_ha_server_names_is_dialled_at_once() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let outputs = bench.receive(not_leader(Some("c:2000")));
    assert_eq!(dialled(&outputs), [&Target::Leader("c:2000".into())]);
    bench.receive(Downstream::Welcome(welcome()));
    assert_eq!(bench.plugin.link_state(), LinkState::Attached);
    let outputs = bench.receive(not_leader(Some("d:2000")));
    assert_eq!(dialled(&outputs), [&Target::Leader("d:2000".into())], "it stepped down");
}

#[test]
fn leader_that_does_not_answer_is_left_for_the_configured_addresses() {
    let mut bench = Bench::fresh();
    bench.at(0);
    bench.receive(not_leader(Some("c:2000")));
    bench.break_stream();
    assert_eq!(bench.at(0).dialled(), [1], "at once");
    bench.break_stream();
    assert_eq!(bench.at(0).dialled(), [0], "at once: nobody said yet what this one knows");
    let waits = bench.break_stream().left().unwrap().1;
    assert!((50..=100).contains(&waits), "{waits}");
}

#[test]
fn leader_of_a_configured_address_that_falls_silent_is_dialled_last() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let outputs = bench.receive(not_leader(Some(ADDRESSES[1])));
    assert_eq!(outputs.dialled(), [1], "the place of the leader in the list");
    bench.receive(Downstream::Welcome(welcome()));
    while bench.plugin.link_state() == LinkState::Attached {
        bench.at_deadline();
    }
    assert_eq!(
        bench.at_deadline().dialled(),
        [0],
        "a second Hello to the silent one costs the lease"
    );
}

#[test]
fn ha_servers_that_name_each_other_are_not_followed_in_a_circle() {
    let mut bench = Bench::fresh();
    bench.at(0);
    let mut followed = 0;
    while !dialled(&bench.receive(not_leader(Some("c:2000")))).is_empty() {
        followed += 1;
        assert!(followed < 10, "round and round");
    }
    assert_eq!(followed, 3);
}

#[test]
fn leader_that_outlived_a_lease_is_dialled_first_when_its_stream_breaks_and_not_when_it_is_silent()
{
    for is_silent in [false, true] {
        let mut bench = Bench::fresh();
        bench.at(0);
        bench.receive(not_leader(Some("c:2000")));
        bench.receive(Downstream::Welcome(welcome()));
        while bench.now() < 1_500 {
            for sequence in bench.at_deadline().heartbeats() {
                bench.step(Input::HeartbeatKept(bench.stream(), sequence, 0));
            }
        }
        if !is_silent {
            bench.break_stream();
        }
        while bench.plugin.link_state() == LinkState::Attached {
            bench.at_deadline();
        }
        let outputs = bench.at_deadline();
        let is_leader = matches!(dialled(&outputs)[..], [Target::Leader(_)]);
        assert_eq!(is_leader, !is_silent, "{outputs:?}");
    }
}
