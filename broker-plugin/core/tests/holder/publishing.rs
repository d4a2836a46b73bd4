//! What clients publish, and who of those that are kept for gets it how.

use ha_types::session::{Ask, Start, SubscribeOptions, Tell};
use ha_types::{Message, Qos};

use crate::common::{Bench, Link, at, durable, ephemeral, id, named, qos_1, qos_2, to};

fn release(bench: &mut Bench, link: Link, packet_id: u16) -> bool {
    let session = link.session;
    let packet_id = id(packet_id);
    let outputs = bench.ask(Ask::Release { session, packet_id });
    outputs.tells(link.connection).contains(&&Tell::Released { session, packet_id })
}

#[test]
fn publish_is_delivered_and_then_answered() {
    let mut bench = Bench::new();
    let (a, b) = (bench.connect(durable("a")), bench.connect(ephemeral("b")));
    bench.subscribe(a, &[to("t")]);
    let outputs = bench.publish(b, 7, qos_1("t", "1"));
    assert_eq!(outputs.payloads(a), ["1"]);
    assert_eq!(outputs.published(b), [id(7)]);
    assert_eq!(bench.publish(b, 8, qos_1("nobody", "1")).published(b), [id(8)]);
}

/// [MQTT-4.3.3-10], [MQTT-4.3.3-12]
#[test]
fn qos_2_publish_is_delivered_once_until_its_release() {
    for open in [durable("b"), ephemeral("b")] {
        let mut bench = Bench::new();
        let (a, b) = (bench.connect(durable("a")), bench.connect(open));
        bench.subscribe(a, &[to("t")]);
        assert_eq!(bench.publish(b, 1, qos_2("t", "1")).payloads(a), ["1"]);
        let again = bench.publish(b, 1, qos_2("t", "1"));
        assert!(again.payloads(a).is_empty());
        assert_eq!(again.published(b), [id(1)]);
        assert!(release(&mut bench, b, 1));
        assert_eq!(bench.publish(b, 1, qos_2("t", "2")).payloads(a), ["2"]);
    }
}

#[test]
fn qos_1_publish_under_the_same_packet_id_is_another_message() {
    let mut bench = Bench::new();
    let (a, b) = (bench.connect(durable("a")), bench.connect(ephemeral("b")));
    bench.subscribe(a, &[to("t")]);
    for payload in ["1", "2"] {
        assert_eq!(bench.publish(b, 1, qos_1("t", payload)).payloads(a), [payload]);
    }
}

#[test]
fn qos_2_publish_is_known_on_the_next_connection() {
    let mut bench = Bench::new();
    let (a, b) = (bench.connect(durable("a")), bench.connect(durable("b")));
    bench.subscribe(a, &[to("t")]);
    bench.publish(b, 3, qos_2("t", "1"));
    bench.lose(b);
    let (b, opened, _) = bench.connect_fully(durable("b"));
    assert_eq!(opened.inbound, [id(3)]);
    assert!(bench.publish(b, 3, qos_2("t", "1")).payloads(a).is_empty());
    release(&mut bench, b, 3);
    bench.lose(b);
    assert!(bench.connect_fully(durable("b")).1.inbound.is_empty());
}

#[test]
fn release_of_an_unknown_packet_id_is_answered() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    assert!(release(&mut bench, link, 9));
}

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3]
#[test]
fn overlapping_filters_make_one_delivery_at_the_highest_qos_with_all_identifiers() {
    for highest in 0..3 {
        let mut bench = Bench::new();
        let link = bench.connect(durable("a"));
        let mut filters = [named(1, to("t/#")), named(2, to("t/+")), to("#")];
        filters[highest].qos = Qos::ExactlyOnce;
        filters[(highest + 1) % 3].qos = Qos::AtMostOnce;
        bench.subscribe(link, &filters);
        let outputs = bench.message(qos_2("t/x", "1"));
        let [queued] = outputs.delivered(link)[..] else { panic!("{outputs:?}") };
        let mut ids: Vec<_> = queued.subscription_ids.iter().map(|id| id.get()).collect();
        ids.sort_unstable();
        assert_eq!((queued.qos, ids), (Qos::ExactlyOnce, vec![1, 2]), "{filters:?}");
    }
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_leaves_out_what_the_session_itself_published() {
    let mut bench = Bench::new();
    let (a, b) = (bench.connect(durable("a")), bench.connect(durable("b")));
    bench.subscribe(a, &[SubscribeOptions { no_local: true, ..to("t") }]);
    assert!(bench.publish(a, 1, qos_1("t", "own")).payloads(a).is_empty());
    assert_eq!(bench.publish(b, 1, qos_1("t", "other")).payloads(a), ["other"]);
    bench.subscribe(a, &[to("#")]);
    let outputs = bench.publish(a, 1, qos_1("t", "by the other filter"));
    assert_eq!(outputs.payloads(a), ["by the other filter"]);
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn retain_flag_is_kept_for_who_asked_for_it() {
    for (retain_as_published, retain) in [(true, true), (true, false), (false, true)] {
        let mut bench = Bench::new();
        let link = bench.connect(durable("a"));
        bench.subscribe(link, &[SubscribeOptions { retain_as_published, ..to("t") }]);
        let outputs = bench.message(Message { retain, ..qos_1("t", "1") });
        assert_eq!(outputs.delivered(link)[0].retain, retain && retain_as_published);
    }
}

#[test]
fn ephemeral_session_is_not_queued_for() {
    let mut bench = Bench::new();
    let link = bench.connect(ephemeral("a"));
    bench.subscribe(link, &[to("t")]);
    assert!(bench.message(qos_1("t", "live")).0.is_empty());
    assert_eq!(bench.queued(), 0);
}

#[test]
fn nobody_needs_to_ask_about_messages_that_concern_nobody_here() {
    let wants = |bench: &Bench| Qos::from_level(0).map(|qos| bench.holder.wants(qos)).unwrap();
    let wants_1 = |bench: &Bench| bench.holder.wants(Qos::AtLeastOnce);
    let mut bench = Bench::new();
    let (a, b) = (bench.connect(durable("a")), bench.connect(ephemeral("b")));
    bench.subscribe(a, &[at("t", Qos::AtMostOnce)]);
    bench.subscribe(b, &[to("t")]);
    assert!(!wants(&bench) && !wants_1(&bench), "live routes only");
    bench.subscribe(a, &[to("t")]);
    assert!(!wants(&bench) && wants_1(&bench), "a durable filter");
    bench.subscribe(a, &[at("t", Qos::AtMostOnce)]);
    assert!(!wants_1(&bench), "granted anew at QoS 0");
    bench.subscribe(b, &[to("$share/g/t")]);
    assert!(wants(&bench) && wants_1(&bench), "a group");
    bench.unsubscribe(b, &["$share/g/t"]);
    assert!(!wants(&bench) && !wants_1(&bench));
}

#[test]
fn clean_session_is_not_the_publisher_that_the_earlier_one_was() {
    let mut bench = Bench::new();
    let first = bench.connect(durable("a"));
    bench.publish(first, 1, qos_2("t", "1"));
    bench.lose(first);
    let clean = ha_types::session::Open { start: Start::Clean, ..durable("a") };
    assert!(bench.connect_fully(clean).1.inbound.is_empty());
}
