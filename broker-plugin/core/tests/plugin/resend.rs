//! What is sent again after a broken stream, and what is not.

use ha_types::PublishNumber;
use ha_types::link::Welcome;

use crate::common::{Bench, publish, welcome};

fn taken_upto(number: u64) -> Welcome {
    Welcome { taken_upto: PublishNumber(number), ..welcome() }
}

#[test]
fn unanswered_publishes_are_sent_again_in_order_under_their_numbers() {
    let mut bench = Bench::attached();
    for payload in ["1", "2", "3"] {
        bench.publish(publish("t", payload));
    }
    bench.result(1, 0);
    bench.break_stream();
    let sent = bench.attach_again(welcome()).publishes();
    assert_eq!(sent, [(2, "2".into()), (3, "3".into())]);
}

#[test]
fn publishes_that_ha_server_took_are_not_sent_again() {
    let mut bench = Bench::attached();
    for payload in ["1", "2", "3"] {
        bench.publish(publish("t", payload));
    }
    bench.break_stream();
    let sent = bench.attach_again(taken_upto(2)).publishes();
    assert_eq!(sent, [(3, "3".into())]);
    assert_eq!(bench.publish(publish("t", "4")).publishes(), [(4, "4".into())]);
}

#[test]
fn publishes_of_an_outage_are_sent_after_it() {
    let mut bench = Bench::attached();
    bench.break_stream();
    bench.publish(publish("t", "1"));
    bench.publish(publish("t", "2"));
    let sent = bench.attach_again(welcome()).publishes();
    assert_eq!(sent, [(1, "1".into()), (2, "2".into())]);
}

#[test]
fn retained_qos_0_waits_out_a_missing_server_and_is_sent_once() {
    let mut bench = Bench::detached();
    bench.publish(publish("t", "kept").qos_0().retained());
    assert_eq!((bench.plugin.outbox_len(), bench.plugin.dropped()), (1, 0));
    assert_eq!(bench.attach_again(welcome()).publishes(), [(0, "kept".into())]);
    bench.break_stream();
    assert_eq!(bench.attach_again(welcome()).publishes(), []);
}

#[test]
fn retained_qos_0_behind_a_full_window_waits_for_its_turn() {
    let mut bench = Bench::detached();
    for payload in ["1", "2", "3", "4", "5"] {
        bench.publish(publish("t", payload));
    }
    bench.publish(publish("t", "kept").qos_0().retained());
    assert_eq!(bench.attach_again(welcome()).publishes().len(), 4);
    assert_eq!(bench.result(1, 0).publishes(), [(5, "5".into())]);
    assert_eq!(bench.result(2, 0).publishes(), [(0, "kept".into())]);
}
