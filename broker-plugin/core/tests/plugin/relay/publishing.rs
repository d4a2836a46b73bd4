//! What becomes of the answers to publishes, and of messages of other brokers.

use broker_core::Input;
use broker_core::host::HostCommand;
use ha_types::link::{Downstream, Origin, PublishOutcome};
use ha_types::session::{Lifetime, RefuseReason, Tell};
use ha_types::{BrokerEpoch, PublishNumber, RetainedVersion};

use super::common::{attached, close, clustered, key, packet_id};
use crate::common::{Bench, Outputs, message, publish};

fn result(bench: &mut Bench, number: u64, outcome: PublishOutcome) -> Outputs {
    let (number, retained) = (PublishNumber(number), RetainedVersion(0));
    bench.receive(Downstream::PublishResult { number, outcome, retained })
}

fn served() -> Bench {
    let mut bench = attached();
    bench.serve(1, Lifetime::Unlimited, 1);
    bench
}

fn from(broker: u64, number: u64) -> Downstream {
    let origin = Origin { broker: BrokerEpoch(broker), number: PublishNumber(number) };
    let (message, retained) = (message("t", "x"), RetainedVersion(0));
    Downstream::Deliver { origin: Some(origin), known_as: vec![], message, retained }
}

fn origin(broker: u64, number: u64) -> Origin {
    Origin { broker: BrokerEpoch(broker), number: PublishNumber(number) }
}

/// The first of these is its own.
fn known_as(origins: &[(u64, u64)]) -> Downstream {
    let mut known_as: Vec<_> = origins.iter().map(|of| origin(of.0, of.1)).collect();
    let own = Some(known_as.remove(0));
    let (message, retained) = (message("t", "x"), RetainedVersion(0));
    Downstream::Deliver { origin: own, known_as, message, retained }
}

/// That of [`welcome`](crate::common::welcome).
const EPOCH: u64 = 5;

#[test]
fn answer_goes_to_the_session_under_its_packet_identifier() {
    for (outcome, answer) in [
        (PublishOutcome::Accepted, Ok(())),
        (PublishOutcome::Repeat, Ok(())),
        (PublishOutcome::RetainedFull, Ok(())),
        (PublishOutcome::QuotaExceeded, Err(RefuseReason::QuotaExceeded)),
    ] {
        let mut bench = served();
        bench.publish(publish("t", "x").of(1, 7));
        let (session, packet_id) = (key(1), packet_id(7));
        let told = Tell::Published { session, packet_id, outcome: answer };
        let outputs = result(&mut bench, 1, outcome);
        assert_eq!(outputs.told(), [(1, &told)], "{outcome:?}");
        assert!(outputs.delivered().is_empty(), "its host did it");
    }
}

#[test]
fn publish_of_a_session_that_is_another_brokers_ends_its_connection() {
    let mut bench = served();
    bench.publish(publish("t", "x").of(1, 7));
    let outputs = result(&mut bench, 1, PublishOutcome::Fenced);
    assert_eq!(outputs.told(), [(1, &Tell::Fenced { session: key(1) })]);
    assert_eq!(bench.publish(publish("t", "x").of(1, 8)).0, []);
}

#[test]
fn publish_that_is_answered_goes_up_with_its_session() {
    let mut bench = served();
    assert_eq!(bench.publish(publish("t", "1").of(1, 7)).up(), ["publish 1 1!"]);
    assert_eq!(bench.publish(publish("t", "2").of(1, 8).qos_2()).up(), ["publish 2 2!"]);
    assert_eq!(bench.publish(publish("t", "3").qos_0()).up(), ["publish 0 3"]);
}

/// The client has come back with a clean start: what waits of its older connection is not its.
#[test]
fn late_publish_that_is_fenced_is_no_answer_for_the_clients_next_connection() {
    let mut bench = served();
    bench.publish(publish("t", "old").of(1, 7));
    bench.ask(close(1));
    bench.serve(2, Lifetime::Connection, 3);
    bench.publish(publish("t", "new").of(2, 7));
    assert_eq!(result(&mut bench, 1, PublishOutcome::Fenced).0, []);
    let (session, packet_id) = (key(2), packet_id(7));
    let told = Tell::Published { session, packet_id, outcome: Ok(()) };
    assert_eq!(result(&mut bench, 2, PublishOutcome::Accepted).told(), [(2, &told)]);
}

#[test]
fn own_subscribers_get_qos_2_when_it_is_accepted_and_not_as_a_repeat() {
    for (outcome, count) in [
        (PublishOutcome::Accepted, 1),
        (PublishOutcome::RetainedFull, 1),
        (PublishOutcome::Repeat, 0),
        (PublishOutcome::QuotaExceeded, 0),
        (PublishOutcome::Fenced, 0),
    ] {
        let mut bench = served();
        bench.publish(publish("t", "x").of(1, 7).qos_2());
        let outputs = result(&mut bench, 1, outcome);
        let delivered = outputs.delivered();
        assert_eq!(delivered.len(), count, "{outcome:?}");
        let is_own = |epoch| epoch == BrokerEpoch(0);
        assert!(delivered.iter().all(|delivery| is_own(delivery.message.publisher.epoch)));
    }
}

#[test]
fn result_opens_the_window_for_the_next_publish() {
    let mut bench = served();
    for n in 1..=5 {
        bench.publish(publish("t", "x").of(1, n));
    }
    let held = bench.plugin.publishes_held();
    assert_eq!(result(&mut bench, 1, PublishOutcome::Accepted).up(), ["publish 5 x!"]);
    assert_eq!(bench.plugin.publishes_held(), held - 1);
}

#[test]
fn publishes_of_sessions_are_kept_while_there_is_no_leader_and_qos_0_is_not() {
    let mut bench = served();
    bench.break_stream();
    for n in 1..=20 {
        bench.publish(publish("t", "x").of(1, n));
    }
    assert_eq!(bench.plugin.outbox_len(), 20, "the host waits for credit");
    bench.publish(publish("t", "x").qos_0());
    assert_eq!((bench.plugin.outbox_len(), bench.plugin.dropped()), (20, 1));
}

#[test]
fn receipts_are_sent_once_for_what_came_together_and_after_the_host_has_it() {
    let mut bench = attached();
    let outputs = bench.receive_all(vec![from(9, 1), from(9, 2)]);
    assert_eq!((outputs.delivered().len(), outputs.up()), (2, vec!["received 2".into()]));
    assert!(matches!(outputs.0.last(), Some(broker_core::Output::Send(..))));
    assert_eq!(bench.receive(from(8, 1)).up(), ["received 3"]);
}

#[test]
fn message_that_comes_again_is_counted_and_not_delivered() {
    let mut bench = attached();
    bench.receive(from(9, 2));
    let outputs = bench.receive_all(vec![from(9, 2), from(9, 1), from(9, 3)]);
    assert_eq!((outputs.delivered().len(), outputs.up()), (1, vec!["received 4".into()]));
    bench.break_stream();
    bench.attach_again(crate::common::welcome());
    let outputs = bench.receive(from(9, 3));
    assert_eq!((outputs.delivered().len(), outputs.up()), (0, vec!["received 1".into()]));
}

#[test]
fn message_that_came_as_another_is_not_delivered_whichever_comes_first() {
    let deliveries = |items: &[&[(u64, u64)]]| {
        let mut bench = attached();
        let count = |item: &&[(u64, u64)]| bench.receive(known_as(item)).delivered().len();
        items.iter().map(count).collect::<Vec<_>>()
    };
    assert_eq!(deliveries(&[&[(8, 3)], &[(9, 1), (8, 3)]]), [1, 0]);
    assert_eq!(deliveries(&[&[(9, 1), (8, 3)], &[(8, 3), (9, 1)]]), [1, 0]);
    assert_eq!(deliveries(&[&[(9, 1), (8, 3)], &[(8, 2)], &[(10, 1), (8, 3), (9, 1)]]), [1, 1, 0]);
    assert_eq!(deliveries(&[&[(8, 4)], &[(9, 1), (8, 3)]]), [1, 0], "not needed then");
}

#[test]
fn own_message_that_comes_back_first_is_not_delivered_when_it_is_accepted() {
    for back in [&[(9, 1), (EPOCH, 1)][..], &[(EPOCH, 1), (9, 1)]] {
        let mut bench = served();
        bench.publish(publish("t", "x").of(1, 7).qos_2());
        assert_eq!(bench.receive(known_as(back)).delivered().len(), 1);
        assert_eq!(bench.receive(known_as(back)).delivered().len(), 0, "twice");
        let outputs = result(&mut bench, 1, PublishOutcome::Accepted);
        assert_eq!((outputs.delivered().len(), outputs.told().len()), (0, 1));
    }
}

#[test]
fn own_message_that_was_answered_is_not_delivered_when_it_comes_back() {
    let mut bench = served();
    bench.publish(publish("t", "x").of(1, 7).qos_2());
    assert_eq!(result(&mut bench, 1, PublishOutcome::Accepted).delivered().len(), 1);
    assert_eq!(bench.receive(known_as(&[(9, 1), (EPOCH, 1)])).delivered().len(), 0);
}

/// It may have gone to none of those that are here: they came in its new life.
#[test]
fn message_of_an_earlier_life_of_this_broker_is_delivered() {
    let mut bench = served();
    bench.publish(publish("t", "x").of(1, 7).qos_2());
    assert_eq!(bench.receive(known_as(&[(9, 1), (EPOCH - 1, 1)])).delivered().len(), 1);
}

#[test]
fn message_without_an_origin_needs_no_receipt() {
    let mut bench = attached();
    let outputs = bench.receive(crate::common::deliver("t", "x", 0));
    assert_eq!((outputs.delivered().len(), outputs.up().len()), (1, 0));
}

#[test]
fn broker_needs_no_copy_of_the_retained_messages() {
    let mut bench = Bench::new(clustered());
    assert!(!bench.plugin.is_loaded());
    bench.attach_again(crate::common::welcome());
    assert!(bench.plugin.is_loaded());
    bench.publish(publish("t", "x").retained());
    assert_eq!(bench.retained("#"), [""; 0]);
}

#[test]
fn host_learns_the_clusters_time_with_the_epoch() {
    let mut bench = Bench::new(clustered());
    let outputs = bench.attach_again(crate::common::welcome());
    let time = outputs.0.iter().find_map(|output| match output {
        broker_core::Output::Host(HostCommand::ClusterTime(time)) => Some(time.0),
        _ => None,
    });
    assert_eq!(time, Some(5_000_000));
}

#[test]
fn broker_that_has_stopped_takes_nothing() {
    let mut bench = served();
    bench.step(Input::Stop);
    assert_eq!(bench.publish(publish("t", "x").of(1, 1)).0, []);
    assert_eq!(bench.ask(close(1)).0, []);
}
