//! Clients that are served while nobody leads, and what becomes of them when somebody does.

use broker_core::holder::RouteChange;
use broker_core::host::HostCommand;
use broker_core::{Config, Output};
use ha_types::link::{Downstream, PublishOutcome, Upstream, Welcome};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Eviction, Lifetime, NewWill, Open, Opened, Progress,
    RefuseReason, SessionKey, Tell,
};
use ha_types::{AskNumber, BrokerEpoch, PublishNumber, Qos, RetainedVersion, SessionId, Ticket};

use super::common::{
    attached, close, clustered, key, open, opened, packet_id, subscribe, subscribed,
};
use crate::common::{Bench, Outputs, Publish, message, publish, subscription, welcome};

const EPHEMERAL: Lifetime = Lifetime::Connection;

/// What the engine of connection `n` knows its session by.
fn own(n: u64) -> SessionKey {
    SessionKey::provisional(ConnectionId(n))
}

/// The same ask or tell under another key.
fn of_guest(n: u64, mut ask: Ask) -> Ask {
    *ask.session_mut().unwrap() = own(n);
    ask
}

fn known_as(n: u64, mut tell: Tell) -> Tell {
    *tell.session_mut().unwrap() = own(n);
    tell
}

fn publish_of_guest(n: u64, id: u16) -> Publish {
    let mut publish = publish("t", &id.to_string());
    publish.0.exchange = Some((own(n), packet_id(id)));
    publish.0.session = own(n).id;
    publish
}

fn with_client_id(client_id: &str, ask: Ask) -> Ask {
    match ask {
        Ask::Open(open) => Ask::Open(Open { client_id: client_id.into(), ..open }),
        other => other,
    }
}

fn with_will(ask: Ask) -> Ask {
    match ask {
        Ask::Open(open) => {
            let will = NewWill { message: message("will", "w"), expires_in_s: None, delay_s: 0 };
            Ask::Open(Open { will: Some(will), ..open })
        }
        other => other,
    }
}

/// Until CONNECTs have waited for long enough: what the engines are told.
fn hold(bench: &mut Bench) -> Vec<(u64, Tell)> {
    let (end, mut told) = (bench.now() + 2_000, Vec::new());
    let mut note = |outputs: &Outputs| {
        told.extend(outputs.told().into_iter().map(|(n, tell)| (n, tell.clone())));
    };
    while bench.plugin.deadline().unwrap().0 < end {
        note(&bench.at_deadline());
        note(&bench.break_stream());
    }
    note(&bench.at(end));
    told
}

/// Connection 1 is served, and nobody leads.
fn with_guest() -> Bench {
    let mut bench = attached();
    bench.break_stream();
    bench.ask(open(1, EPHEMERAL));
    let served = Opened { session: own(1), backlog: nothing(), ..opened(1) };
    assert_eq!(hold(&mut bench), [(1, Tell::Opened(served))]);
    bench
}

fn nothing() -> ha_types::session::PageEnd {
    ha_types::session::PageEnd::Live(ha_types::session::Offset::NONE)
}

/// Whose live messages are routed.
fn routed(outputs: &Outputs) -> Vec<SessionId> {
    let route = |output: &Output| match output {
        Output::Host(HostCommand::Route(RouteChange::Add { route, .. })) => Some(route.session),
        _ => None,
    };
    outputs.0.iter().filter_map(route).collect()
}

fn refusal(n: u64) -> Tell {
    Tell::OpenRefused { connection: ConnectionId(n), reason: RefuseReason::Unavailable }
}

#[test]
fn client_whose_session_ends_with_its_connection_is_served_and_claims_its_session_later() {
    let mut bench = with_guest();
    assert_eq!(bench.attach_again(welcome()).up(), ["resumed", "ask 1 claim 1"]);
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!((outputs.told(), outputs.up()), (vec![], vec![]), "its engine has a session");
    let evict = |session| Tell::Evict { session, why: Eviction::Kicked };
    assert_eq!(bench.tell(1, evict(key(1))).told(), [(1, &evict(own(1)))]);
    assert_eq!(bench.ask(of_guest(1, close(1))).up(), ["ask 2 close 1 Disconnect"]);
}

#[test]
fn nobody_is_served_by_a_broker_that_shall_not_or_never_had_a_leader_or_whose_session_lasts() {
    let closes = Config { serves_isolated: false, ..clustered() };
    let mut closing = Bench::new(closes);
    closing.attach_again(welcome());
    closing.break_stream();
    closing.ask(open(1, EPHEMERAL));
    assert_eq!(hold(&mut closing), [(1, refusal(1))]);
    let mut fresh = Bench::new(clustered());
    fresh.at(0);
    fresh.ask(open(1, EPHEMERAL));
    assert_eq!(hold(&mut fresh), [(1, refusal(1))]);
    let mut durable = attached();
    durable.break_stream();
    durable.ask(open(1, Lifetime::Seconds(1)));
    assert_eq!(hold(&mut durable), [(1, refusal(1))]);
}

#[test]
fn guest_subscribes_here_at_once_and_at_ha_server_behind_its_claim() {
    let mut bench = with_guest();
    for (ticket, filter) in [(1, "a"), (2, "b")] {
        let outputs = bench.ask(of_guest(1, subscribe(1, ticket, filter)));
        assert_eq!(outputs.told(), [(1, &known_as(1, subscribed(1, ticket)))]);
        assert_eq!(routed(&outputs), [own(1).id]);
    }
    let unsubscribe = |filter, ticket| {
        let subscriptions = vec![subscription(filter)];
        Ask::Unsubscribe { session: own(1), ticket: Ticket(ticket), subscriptions }
    };
    for (filter, ticket, existed) in [("b", 3, true), ("b", 4, false)] {
        let (session, ticket) = (own(1), Ticket(ticket));
        let tell = Tell::Unsubscribed { session, ticket, existed: vec![existed] };
        assert_eq!(bench.ask(unsubscribe(filter, ticket.0)).told(), [(1, &tell)]);
    }
    bench.ask(of_guest(1, subscribe(1, 5, "c")));
    let up = bench.attach_again(welcome()).up();
    assert_eq!(up, ["+a c", "resumed", "ask 1 claim 1"]);
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!(outputs.up(), ["ask 2 subscribe 1 c"], "and what comes first");
    let answer = |granted| Tell::Subscribed { session: key(1), ticket: Ticket(u64::MAX), granted };
    let Tell::Subscribed { granted, .. } = subscribed(1, 0) else { unreachable!() };
    let both = answer([granted.clone(), granted].concat());
    let outputs = bench.tell(1, both.clone());
    assert_eq!(outputs.told(), [(1, &known_as(1, both))], "it may bring retained messages");
    assert_eq!(routed(&outputs), [own(1).id, own(1).id]);
}

#[test]
fn guest_whose_subscriptions_are_refused_later_begins_anew() {
    let mut bench = with_guest();
    bench.ask(of_guest(1, subscribe(1, 1, "a")));
    bench.attach_again(welcome());
    bench.tell(1, Tell::Opened(opened(1)));
    let granted = vec![Err(RefuseReason::QuotaExceeded)];
    let refused = Tell::Subscribed { session: key(1), ticket: Ticket(u64::MAX), granted };
    let outputs = bench.tell(1, refused);
    assert_eq!(outputs.told().last(), Some(&(1, &Tell::Fenced { session: own(1) })));
    assert!(outputs.up().contains(&"ask 3 close 1 Failure".to_owned()), "{:?}", outputs.up());
}

#[test]
fn publishes_of_a_guest_wait_for_its_session_and_are_answered_under_its_own_key() {
    let mut bench = with_guest();
    bench.publish(publish_of_guest(1, 5));
    bench.publish(publish_of_guest(1, 6).qos_2());
    assert_eq!(bench.attach_again(welcome()).up(), ["resumed", "ask 1 claim 1"]);
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!(outputs.up(), ["publish 1 5!", "publish 2 6!"]);
    for item in outputs.sent() {
        let Upstream::Publish { exchange, message, .. } = item else { panic!("{item:?}") };
        assert_eq!(exchange.map(|(session, _)| session), Some(key(1)));
        assert_eq!(message.publisher.session, key(1).id);
    }
    let answer = |id| {
        let (session, packet_id) = (own(1), packet_id(id));
        Tell::Published { session, packet_id, outcome: Ok(()) }
    };
    assert_eq!(bench.result(1, 0).told(), [(1, &answer(5))]);
    let outputs = bench.result(2, 0);
    assert_eq!(outputs.told(), [(1, &answer(6))]);
    let delivered = outputs.0.iter().find_map(|output| match output {
        Output::Host(HostCommand::Deliver(delivery)) => Some(delivery.message.publisher.session),
        _ => None,
    });
    assert_eq!(delivered, Some(own(1).id), "No Local knows it by that");
    let later = bench.publish(publish_of_guest(1, 7));
    assert_eq!(later.up(), ["publish 3 7!"]);
    let Upstream::Publish { exchange, .. } = later.sent()[0] else { unreachable!() };
    assert_eq!(exchange.map(|(session, _)| session), Some(key(1)));
}

#[test]
fn guest_that_loses_hears_that_another_connection_has_its_session() {
    let mut bench = with_guest();
    bench.publish(publish_of_guest(1, 5));
    bench.attach_again(welcome());
    let outputs = bench.tell(1, refusal(1));
    assert_eq!(outputs.told(), [(1, &Tell::Fenced { session: own(1) })]);
    assert_eq!(outputs.up(), ["publish 1 5!"], "its number is waited for");
    let (number, outcome) = (PublishNumber(1), PublishOutcome::Fenced);
    let retained = RetainedVersion(0);
    let fenced = bench.receive(Downstream::PublishResult { number, outcome, retained });
    assert_eq!(fenced.0, []);
}

#[test]
fn guest_that_was_told_that_it_has_no_session_does_not_get_an_earlier_one() {
    let mut bench = with_guest();
    bench.attach_again(welcome());
    let outputs = bench.tell(1, Tell::Opened(Opened { is_present: true, ..opened(1) }));
    assert_eq!(outputs.told(), [(1, &Tell::Fenced { session: own(1) })]);
    assert_eq!(outputs.up(), ["ask 2 close 1 Disconnect"]);
}

#[test]
fn guest_that_is_gone_before_anybody_leads_claims_nothing() {
    let mut bench = with_guest();
    let (session, cause, progress) = (own(1), CloseCause::Failure, Progress::default());
    bench.ask(Ask::Close { session, cause, progress, lifetime: None });
    assert_eq!(bench.attach_again(welcome()).up(), ["resumed"]);
    assert_eq!(bench.plugin.asks_len(), 0);
}

#[test]
fn guest_that_goes_while_its_claim_is_under_way_has_its_will() {
    let mut bench = with_guest();
    bench.attach_again(welcome());
    let (session, cause, progress) = (own(1), CloseCause::Failure, Progress::default());
    bench.ask(Ask::Close { session, cause, progress, lifetime: None });
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!((outputs.told(), outputs.up()), (vec![], vec!["ask 2 close 1 Failure".into()]));
}

#[test]
fn newer_connection_of_a_client_ends_the_older_one_here() {
    let mut bench = attached();
    bench.ask(with_client_id("c", open(1, EPHEMERAL)));
    bench.tell(1, Tell::Opened(opened(1)));
    bench.break_stream();
    bench.ask(with_client_id("c", open(2, EPHEMERAL)));
    let told = hold(&mut bench);
    let evicted = Tell::Evict { session: key(1), why: Eviction::TakenOver };
    assert_eq!(told[0], (1, evicted));
    assert!(matches!(told[1..], [(2, Tell::Opened(_))]), "{told:?}");
    bench.ask(with_client_id("c", open(3, EPHEMERAL)));
    let told = hold(&mut bench);
    assert_eq!(told[0], (2, Tell::Fenced { session: own(2) }));
    assert!(matches!(told[1..], [(3, Tell::Opened(_))]), "{told:?}");
    bench.ask(close(1));
    let done = Welcome { asked_upto: AskNumber(1), ..welcome() };
    let up = bench.attach_again(done).up();
    assert_eq!(up, ["resumed", "ask 2 claim 3", "ask 3 close 1 Disconnect"]);
}

#[test]
fn guests_outlive_an_epoch_but_not_one_that_may_have_published_their_wills() {
    let mut bench = with_guest();
    bench.publish(publish_of_guest(1, 5));
    bench.attach_again(welcome());
    bench.break_stream();
    bench.ask(with_will(open(2, EPHEMERAL)));
    assert_eq!(hold(&mut bench).len(), 1);
    let lost = |epoch| Welcome { epoch: BrokerEpoch(epoch), ..welcome() };
    let up = bench.attach_again(lost(6)).up();
    assert_eq!(up, ["resumed", "ask 1 claim 1", "ask 2 claim 2"]);
    bench.break_stream();
    let outputs = bench.attach_again(lost(7));
    assert_eq!(outputs.told(), [(2, &Tell::Fenced { session: own(2) })]);
    assert_eq!(outputs.up(), ["resumed", "ask 1 claim 1"]);
    let outputs = bench.tell(1, Tell::Opened(opened(1)));
    assert_eq!(outputs.up(), ["publish 3 5!"], "under a number that nobody has seen");
}

#[test]
fn pubrel_of_a_guest_is_answered_here() {
    let mut bench = with_guest();
    let (session, packet_id) = (own(1), packet_id(9));
    let outputs = bench.ask(Ask::Release { session, packet_id });
    assert_eq!(outputs.told(), [(1, &Tell::Released { session, packet_id })]);
    let mut later = publish("t", "x");
    (later.0.qos, later.0.session) = (Qos::AtMostOnce, own(1).id);
    assert_eq!(bench.publish(later).up(), [""; 0], "QoS 0 is for this broker's clients alone");
}
