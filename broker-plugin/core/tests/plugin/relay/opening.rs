//! CONNECTs: who waits how long, and what becomes of late answers.

use broker_core::LinkState;
use ha_types::link::Welcome;
use ha_types::session::{Ask, ConnectionId, Lifetime, NewWill, Open, RefuseReason, Tell};
use ha_types::{AskNumber, BrokerEpoch};

use super::common::{attached, close, clustered, open, opened};
use crate::common::{Bench, Outputs, welcome};

const DURABLE: Lifetime = Lifetime::Unlimited;

fn refused(outputs: &Outputs) -> Vec<u64> {
    let refused = outputs.told().into_iter().filter_map(|(n, tell)| match tell {
        Tell::OpenRefused { reason: RefuseReason::Unavailable, .. } => Some(n),
        _ => None,
    });
    refused.collect()
}

/// Two addresses that do not answer, until `end`.
fn fail_until(bench: &mut Bench, end: u64) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        all.extend(refused(&bench.break_stream()));
        if bench.plugin.deadline().unwrap().0 > end {
            break;
        }
        all.extend(refused(&bench.at_deadline()));
    }
    all.extend(refused(&bench.at(end)));
    all
}

#[test]
fn connect_is_answered_by_ha_server_once() {
    let mut bench = attached();
    assert_eq!(bench.ask(open(1, DURABLE)).up(), ["ask 1 open 1"]);
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!(outputs.told(), [(1, &Tell::Opened(opened(1)))]);
    let again = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!(again.0, [], "it came again, on another stream");
}

#[test]
fn connect_waits_two_seconds_for_a_leader_and_is_refused_then() {
    let mut bench = Bench::new(clustered());
    bench.at(0);
    bench.ask(open(1, DURABLE));
    assert_eq!(fail_until(&mut bench, 1_999), []);
    assert_eq!(fail_until(&mut bench, 2_000), [1]);
    assert_eq!(bench.plugin.asks_len(), 1, "forgotten in its turn");
    let up = bench.attach_again(welcome()).up();
    assert_eq!(up, ["resumed"], "nobody waits for it");
}

#[test]
fn waiting_counts_from_when_the_leader_was_lost() {
    let mut bench = attached();
    bench.ask(open(1, DURABLE));
    bench.at(600);
    assert_eq!(fail_until(&mut bench, 2_599), []);
    assert_eq!(fail_until(&mut bench, 2_600), [1]);
}

#[test]
fn connect_that_waits_for_an_older_connection_is_not_refused_while_there_is_a_leader() {
    let mut bench = attached();
    bench.ask(open(1, DURABLE));
    let mut now = 0;
    while now < 10_000 {
        now = bench.plugin.deadline().unwrap().0;
        let outputs = bench.at(now);
        assert_eq!(refused(&outputs), []);
        for sequence in outputs.heartbeats() {
            bench.step(broker_core::Input::HeartbeatKept(bench.stream(), sequence, 0));
        }
    }
    assert_eq!(bench.plugin.link_state(), LinkState::Attached);
}

#[test]
fn session_that_is_opened_for_a_client_that_was_refused_is_closed_without_its_will() {
    let mut bench = attached();
    bench.ask(open(1, DURABLE));
    fail_until(&mut bench, 2_000);
    let done = Welcome { asked_upto: AskNumber(1), ..welcome() };
    assert_eq!(bench.attach_again(done).up(), ["resumed", "ask 1 claim 1"], "to know which");
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!(outputs.up(), ["ask 2 close 1 Disconnect"]);
    assert_eq!(outputs.told(), []);
}

#[test]
fn connect_that_ha_server_has_done_is_asked_again_for_its_answer() {
    let mut bench = attached();
    bench.ask(open(1, DURABLE));
    bench.break_stream();
    let done = Welcome { asked_upto: AskNumber(1), ..welcome() };
    assert_eq!(bench.attach_again(done).up(), ["resumed", "ask 1 open 1"]);
}

/// As after a stream that broke, when what was done before it is said to be done.
#[test]
fn connect_that_is_said_to_be_done_before_its_answer_comes_is_kept_until_then() {
    let mut bench = attached();
    bench.ask(open(1, DURABLE));
    bench.asked(1);
    assert_eq!(bench.plugin.asks_len(), 1);
    bench.tell(1, Tell::Opened(opened(1)));
    bench.asked(1);
    assert_eq!(bench.plugin.asks_len(), 0);
}

#[test]
fn refusal_is_passed_on_once() {
    let mut bench = attached();
    bench.ask(open(1, DURABLE));
    let connection = ConnectionId(1);
    let tell = Tell::OpenRefused { connection, reason: RefuseReason::QuotaExceeded };
    assert_eq!(bench.tell(1, tell.clone()).told(), [(1, &tell)]);
    assert_eq!(bench.tell(1, tell).0, []);
}

#[test]
fn connects_that_wait_are_asked_again_under_another_epoch_from_1() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.ask(open(2, DURABLE));
    bench.break_stream();
    let lost = Welcome { epoch: BrokerEpoch(6), ..welcome() };
    assert_eq!(bench.attach_again(lost).up(), ["resumed", "ask 1 open 2"]);
}

/// What ended with the epoch may have been a session that has its will; nobody says.
#[test]
fn connect_with_a_will_that_was_asked_is_refused_when_the_epoch_ends_and_one_that_was_not_goes_on()
{
    let mut bench = attached();
    let with_will = |n| match open(n, DURABLE) {
        Ask::Open(open) => {
            let message = crate::common::message("will", "gone");
            let will = Some(NewWill { message, expires_in_s: None, delay_s: 0 });
            Ask::Open(Open { will, ..open })
        }
        other => other,
    };
    bench.ask(with_will(1));
    bench.break_stream();
    bench.ask(with_will(2));
    let lost = Welcome { epoch: BrokerEpoch(6), ..welcome() };
    let outputs = bench.attach_again(lost);
    assert_eq!(refused(&outputs), [1]);
    assert_eq!(outputs.up(), ["resumed", "ask 1 open 2"]);
}

#[test]
fn connect_does_not_pass_a_close_that_waits_behind_messages() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    bench.serve(2, DURABLE, 2);
    for n in 1..=5 {
        bench.publish(crate::common::publish("t", "x").of(1, n));
    }
    assert_eq!(bench.ask(close(2)).up(), [""; 0], "the window of 4 is full");
    assert_eq!(bench.ask(open(3, DURABLE)).up(), [""; 0]);
    let up = bench.result(1, 0).up();
    assert_eq!(up, ["publish 5 x!", "ask 3 close 2 Disconnect", "ask 4 open 3"]);
}

/// A storm: when another broker has died, its clients come at once.
#[test]
fn so_many_connects_are_under_way_and_what_others_do_comes_in_between() {
    let mut bench = attached();
    bench.serve(1, DURABLE, 1);
    let asked: usize = (2..=300).map(|n| bench.ask(open(n, DURABLE)).up().len()).sum();
    assert_eq!(asked, 256);
    assert_eq!(bench.publish(crate::common::publish("t", "x").of(1, 1)).up(), ["publish 1 x!"]);
    assert_eq!(bench.tell(2, Tell::Opened(opened(2))).up(), ["ask 258 open 258"]);
    let refused =
        Tell::OpenRefused { connection: ConnectionId(3), reason: RefuseReason::QuotaExceeded };
    assert_eq!(bench.tell(3, refused).up(), ["ask 259 open 259"]);
    bench.break_stream();
    let done = Welcome { asked_upto: AskNumber(3), ..welcome() };
    let up = bench.attach_again(done).up();
    let opens = up.iter().filter(|item| item.contains("open"));
    assert_eq!(opens.count(), 256, "those that have no answer");
}
