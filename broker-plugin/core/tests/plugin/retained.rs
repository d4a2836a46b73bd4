//! The broker's copy of the retained messages.

use broker_core::{Config, Event};
use ha_types::link::{Downstream, PublishOutcome, Welcome};
use ha_types::{PublishNumber, RetainedVersion};

use crate::common::{Bench, Outputs, config, deliver, publish, update, welcome};

fn refused(bench: &mut Bench, number: u64) -> Outputs {
    bench.receive(Downstream::PublishResult {
        number: PublishNumber(number),
        outcome: PublishOutcome::RetainedFull,
        retained: RetainedVersion(0),
    })
}

fn synced(upto: u64) -> Downstream {
    Downstream::RetainedSynced { version: RetainedVersion(upto) }
}

#[test]
fn what_a_client_publishes_is_seen_at_once() {
    for mut bench in [Bench::detached(), Bench::attached()] {
        bench.publish(publish("t", "mine").retained());
        assert_eq!(bench.retained("#"), ["t=mine"]);
        bench.publish(publish("t", "").retained());
        assert_eq!(bench.retained("#"), [""; 0]);
    }
}

#[test]
fn message_without_retain_changes_no_retained_message() {
    let mut bench = Bench::attached();
    bench.publish(publish("t", "x"));
    assert_eq!(bench.retained("#"), [""; 0]);
}

#[test]
fn result_puts_the_message_into_the_order_of_its_version() {
    let mut bench = Bench::attached();
    bench.publish(publish("t", "mine").retained());
    bench.result(1, 5);
    bench.receive(update("t", "older", 4));
    assert_eq!(bench.retained("#"), ["t=mine"]);
    bench.receive(update("t", "newer", 6));
    assert_eq!(bench.retained("#"), ["t=newer"]);
}

#[test]
fn change_that_was_ordered_later_wins_over_ours_when_results_are_late() {
    let mut bench = Bench::attached();
    bench.publish(publish("t", "mine").retained());
    bench.receive(update("t", "theirs", 6));
    bench.result(1, 5);
    assert_eq!(bench.retained("#"), ["t=theirs"]);
}

#[test]
fn result_of_an_older_publish_does_not_hide_a_newer_one() {
    let mut bench = Bench::attached();
    bench.publish(publish("t", "first").retained());
    bench.publish(publish("t", "second").retained());
    bench.result(1, 5);
    assert_eq!(bench.retained("#"), ["t=second"]);
    bench.result(2, 6);
    assert_eq!(bench.retained("#"), ["t=second"]);
}

#[test]
fn qos_0_is_replaced_by_the_ordered_change() {
    let mut bench = Bench::attached();
    bench.publish(publish("t", "mine").qos_0().retained());
    bench.receive(update("t", "mine", 5));
    bench.receive(update("t", "theirs", 6));
    assert_eq!(bench.retained("#"), ["t=theirs"]);
}

#[test]
fn message_that_ha_server_could_not_retain_yields_to_the_one_before() {
    let mut bench = Bench::attached();
    bench.transfer(vec![update("t", "kept", 5)], 5);
    bench.publish(publish("t", "too large").retained());
    assert_eq!(bench.retained("#"), ["t=too large"]);
    assert_eq!(refused(&mut bench, 1).notes(), [&Event::RetainedFull]);
    assert_eq!(bench.retained("#"), ["t=kept"]);
}

#[test]
fn delivered_change_is_retained_as_well() {
    let mut bench = Bench::attached();
    assert_eq!(bench.receive(deliver("t", "x", 5)).delivered().len(), 1);
    assert_eq!(bench.retained("#"), ["t=x"]);
    assert_eq!(bench.receive(deliver("t", "", 6)).delivered().len(), 1);
    assert_eq!(bench.retained("#"), [""; 0]);
    bench.receive(deliver("t", "live", 0));
    assert_eq!(bench.retained("#"), [""; 0]);
}

#[test]
fn complete_transfer_removes_what_it_did_not_mention() {
    let mut bench = Bench::attached();
    bench.receive(update("gone", "x", 1));
    bench.receive(update("kept", "x", 2));
    let outputs = bench.transfer(vec![update("kept", "x", 2), update("new", "x", 3)], 3);
    assert_eq!(outputs.notes(), [&Event::RetainedLoaded(2)]);
    assert_eq!(bench.retained("#"), ["kept=x", "new=x"]);
    assert!(bench.plugin.is_loaded());
}

#[test]
fn transfer_removes_nothing_that_is_newer_than_it() {
    let mut bench = Bench::attached();
    bench.receive(update("new", "x", 9));
    bench.transfer(vec![], 8);
    assert_eq!(bench.retained("#"), ["new=x"]);
    bench.transfer(vec![], 9);
    assert_eq!(bench.retained("#"), [""; 0]);
}

#[test]
fn interrupted_transfer_removes_nothing() {
    let mut bench = Bench::attached();
    bench.receive(update("kept", "x", 1));
    bench.receive_all(vec![Downstream::RetainedBegin, update("new", "x", 2)]);
    bench.break_stream();
    bench.attach_again(welcome());
    let outputs = bench.receive(synced(2));
    assert_eq!(outputs.0, [], "it belongs to nothing");
    assert_eq!(bench.retained("#"), ["kept=x", "new=x"]);
    assert!(!bench.plugin.is_loaded());
}

#[test]
fn transfer_that_begins_again_counts_from_its_last_begin() {
    let mut bench = Bench::attached();
    bench.receive_all(vec![Downstream::RetainedBegin, update("gone", "x", 1)]);
    bench.transfer(vec![update("kept", "x", 2)], 2);
    assert_eq!(bench.retained("#"), ["kept=x"]);
}

#[test]
fn transfer_keeps_what_is_still_on_its_way_to_ha_server() {
    let mut bench = Bench::detached();
    bench.publish(publish("numbered", "x").retained());
    bench.publish(publish("qos 0", "x").retained().qos_0());
    bench.attach_again(welcome());
    bench.transfer(vec![], 3);
    assert_eq!(bench.retained("#"), ["numbered=x", "qos 0=x"]);
}

#[test]
fn transfer_removes_what_never_reached_ha_server() {
    let mut bench = Bench::attached();
    bench.publish(publish("sent", "lost with the stream").retained().qos_0());
    bench.break_stream();
    bench.at(0);
    (0..8).for_each(|_| assert_eq!(bench.publish(publish("t", "x")).0, []));
    bench.publish(publish("dropped", "x").retained());
    assert_eq!(bench.retained("#").len(), 2, "seen while there is no ha-server");
    bench.attach_again(welcome());
    bench.transfer(vec![], 3);
    assert_eq!(bench.retained("#"), [""; 0]);
}

#[test]
fn transfer_tells_what_came_of_a_publish_whose_result_was_lost() {
    let mut bench = Bench::attached();
    bench.publish(publish("t", "mine").retained());
    bench.publish(publish("full", "mine").retained());
    bench.break_stream();
    bench.attach_again(Welcome { taken_upto: PublishNumber(2), ..welcome() });
    bench.transfer(vec![update("t", "theirs", 6)], 6);
    assert_eq!(bench.retained("#"), ["t=theirs"]);
}

#[test]
fn copy_that_is_full_says_so_and_shows_what_it_has() {
    let mut bench = Bench::new(Config { retained_max: 1, ..config() });
    bench.attach_again(welcome());
    bench.receive(update("a", "x", 1));
    assert_eq!(bench.receive(update("b", "x", 2)).notes(), [&Event::RetainedFull]);
    assert_eq!(bench.retained("#"), ["a=x"]);
}

#[test]
fn what_is_not_ordered_yet_is_bounded_as_well() {
    let mut bench = Bench::new(Config { retained_max: 2, ..config() });
    bench.publish(publish("a", "x").retained());
    bench.publish(publish("b", "").retained());
    let outputs = bench.publish(publish("c", "x").retained());
    assert_eq!(outputs.notes(), [&Event::RetainedFull]);
    assert_eq!(bench.plugin.outbox_len(), 3, "ha-server decides");
    bench.publish(publish("a", "y").retained());
    assert_eq!(bench.retained("#"), ["a=y"]);
}

#[test]
fn expired_messages_make_room() {
    let mut bench = Bench::new(Config { retained_max: 1, ..config() });
    bench.attach_again(welcome());
    bench.publish(publish("a", "short").retained().expires_in_s(1));
    bench.result(1, 1);
    bench.at(999);
    assert_eq!(bench.retained("#"), ["a=short"]);
    bench.break_stream();
    bench.at(61_000);
    bench.receive(Downstream::Welcome(welcome()));
    bench.receive(update("b", "long", 2));
    assert_eq!(bench.retained("#"), ["b=long"]);
}

#[test]
fn broker_that_is_alone_sets_and_clears_by_itself() {
    let mut bench = Bench::alone();
    bench.publish(publish("t", "first").retained());
    bench.publish(publish("t", "second").retained().qos_0());
    assert_eq!(bench.retained("#"), ["t=second"]);
    assert_eq!(bench.plugin.retained_len(), 1);
    bench.publish(publish("t", "").retained());
    assert_eq!(bench.retained("#"), [""; 0]);
    assert_eq!((bench.plugin.outbox_len(), bench.plugin.dropped()), (0, 0));
}
