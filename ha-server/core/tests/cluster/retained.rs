//! What is retained, and who gets it at SUBSCRIBE.

use ha_core::cluster::{Command, Outcome, Refused, StateLimits};
use ha_types::Message;
use ha_types::Qos::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use ha_types::session::{CloseCause, Offset, RetainHandling, SubscribeOptions};

use crate::common::{Bench, at, durable, ephemeral, message, offset, payload, records};

fn retained(topic: &str, payload: &str, qos: Qos) -> Message {
    Message { retain: true, ..message(topic, payload, qos) }
}

fn private(after: u64, private: u32) -> Offset {
    Offset { private, ..offset(after) }
}

#[test]
fn durable_session_has_retained_messages_behind_what_is_queued() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t/+", AtLeastOnce));
    bench.publish(retained("t/1", "1", AtLeastOnce));
    bench.publish(retained("t/2", "2", AtLeastOnce));
    let granted = bench.subscribe(session, at("t/#", AtLeastOnce));
    assert_eq!(
        granted.iter().map(|of| (of.offset, of.retain)).collect::<Vec<_>>(),
        [(private(2, 1), true), (private(2, 2), true)]
    );
    bench.publish(message("t/3", "3", AtLeastOnce));
    assert_eq!(bench.queued(session), ["1", "2", "1", "2", "3"]);
    bench.subscribe(session, at("t/1", AtLeastOnce));
    assert_eq!(bench.queued(session), ["1", "2", "1", "2", "3", "1"], "each SUBSCRIBE anew");
    bench.puback(session, &[offset(1), private(2, 1), private(3, 1)]);
    bench.restart();
    assert_eq!(bench.queued(session), ["2", "2", "3"]);
}

#[test]
fn nobody_keeps_what_is_of_qos_0_or_for_an_ephemeral_session() {
    let mut bench = Bench::new();
    bench.publish(retained("t/0", "0", AtMostOnce));
    bench.publish(retained("t/1", "1", AtLeastOnce));
    for (open, kept) in [(durable("a"), 1), (ephemeral("b"), 0)] {
        let session = bench.open(open).session;
        let subscriptions = vec![at("t/+", ExactlyOnce)];
        let Outcome::Subscribed(granted) =
            bench.one(bench.subscribe_command(session, subscriptions))
        else {
            panic!("not fenced");
        };
        let granted = granted[0].as_ref().unwrap();
        assert_eq!((granted.retained.len(), granted.unqueued.len()), (kept, 2 - kept));
        assert_eq!(bench.queued(session).len(), kept);
    }
}

#[test]
fn retained_message_of_qos_2_is_delivered_in_an_exchange() {
    let mut bench = Bench::new();
    bench.publish(retained("t", "x", ExactlyOnce));
    let session = bench.open(durable("a")).session;
    let granted = bench.subscribe(session, at("t", ExactlyOnce));
    let begun = bench.begin(session, &[granted[0].offset]);
    assert_eq!(begun[0].record, Some(granted[0].offset.packet_id()));
    bench.close(session, CloseCause::Failure);
    bench.restart();
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), ["x"]);
    assert!(bench.queued(opened.session).is_empty());
}

#[test]
fn retain_handling_says_when() {
    let mut bench = Bench::new();
    bench.publish(retained("t", "x", AtLeastOnce));
    let session = bench.open(durable("a")).session;
    let mut found = |retain_handling| {
        let options = SubscribeOptions { retain_handling, ..at("t", AtLeastOnce) };
        bench.subscribe(session, options).len()
    };
    use RetainHandling::{AtSubscribe, IfNew, Never};
    assert_eq!([found(Never), found(IfNew), found(AtSubscribe)], [0, 0, 1]);
    bench.unsubscribe(session, "t");
    let options = SubscribeOptions { retain_handling: IfNew, ..at("t", AtLeastOnce) };
    assert_eq!(bench.subscribe(session, options).len(), 1);
}

#[test]
fn newest_message_is_retained_until_it_is_cleared_or_expires() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    let found = |bench: &mut Bench| {
        let found = bench.subscribe(session, at("t", AtLeastOnce));
        found.iter().map(|of| payload(&of.message)).collect::<Vec<_>>()
    };
    bench.publish(retained("t", "1", AtLeastOnce));
    bench.publish(retained("t", "2", AtLeastOnce));
    assert_eq!(found(&mut bench), ["2"]);
    bench.publish(retained("t", "", AtLeastOnce));
    assert!(found(&mut bench).is_empty());
    let expires_at = Some(ha_types::ClusterMillis(bench.now + 1_000));
    bench.publish(Message { expires_at, ..retained("t", "3", AtLeastOnce) });
    bench.restart();
    bench.pass(1_000);
    assert!(found(&mut bench).is_empty());
}

#[test]
fn full_store_of_retained_messages_refuses_and_stores_nothing_either() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("#", AtLeastOnce));
    bench.one(Command::Configure(StateLimits { retained_max: 1, ..StateLimits::default() }));
    bench.publish(retained("t/1", "1", AtLeastOnce));
    let refused = bench.try_publish(retained("t/2", "2", AtLeastOnce));
    assert_eq!(refused, Err(Refused::QuotaExceeded));
    assert_eq!(bench.queued(session), ["1"]);
}
