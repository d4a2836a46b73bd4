//! SUBSCRIBE and UNSUBSCRIBE.

use broker_core::engine::SharedSubscriptions;
use broker_core::holder::{HolderConfig, Input};
use broker_core::host::{HostEvent, RetainedWanted};
use ha_types::session::{RefuseReason, RetainHandling, SubscribeOptions, Tell};
use ha_types::{Message, Qos};

use crate::common::{
    Bench, Link, Outputs, at, durable, ephemeral, named, qos_0, qos_1, qos_2, retained,
    subscription, text, to,
};

/// What each filter was granted, or why not.
fn granted(outputs: &Outputs, link: Link) -> Vec<Result<Qos, RefuseReason>> {
    let granted = outputs.granted(link).unwrap().iter();
    granted.map(|answer| answer.as_ref().map(|granted| granted.qos).map_err(|why| *why)).collect()
}

fn quota() -> Result<Qos, RefuseReason> {
    Err(RefuseReason::QuotaExceeded)
}

#[test]
fn suback_follows_the_plugins_answer_and_retained_messages_follow_the_suback() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    let asked = bench.subscribe_unanswered(link, &[named(5, at("t", Qos::ExactlyOnce))]);
    assert_eq!(asked.granted(link), None);
    assert_eq!(asked.routes(), ["+t"]);
    let (ticket, _) = asked.asked_plugin().unwrap();
    let found = vec![vec![retained(qos_1("t", "old"))]];
    let outputs = bench.step(Input::Retained { ticket, retained: found });
    assert_eq!(granted(&outputs, link), [Ok(Qos::ExactlyOnce)]);
    let tells = outputs.tells(link.connection);
    assert!(matches!(tells[..], [Tell::Subscribed { .. }, Tell::Deliver { .. }]), "{tells:?}");
    let queued = outputs.delivered(link)[0];
    assert!(queued.retain);
    assert_eq!((queued.qos, queued.subscription_ids.len()), (Qos::AtLeastOnce, 1));
}

/// 5.0 §3.8.3.1, Retain Handling; [MQTT-3.8.4-4]
#[test]
fn retained_messages_are_wanted_by_retain_handling_and_never_for_a_group() {
    use RetainHandling::{AtSubscribe, IfNew, Never};
    for (handling, filter, first, again) in [
        (AtSubscribe, "t", RetainedWanted::Always, RetainedWanted::Always),
        (IfNew, "t", RetainedWanted::Always, RetainedWanted::Never),
        (Never, "t", RetainedWanted::Never, RetainedWanted::Never),
        (AtSubscribe, "$share/g/t", RetainedWanted::Never, RetainedWanted::Never),
    ] {
        let mut bench = Bench::new();
        let link = bench.connect(durable("a"));
        let options = SubscribeOptions { retain_handling: handling, ..to(filter) };
        for wanted in [first, again] {
            let outputs = bench.subscribe(link, std::slice::from_ref(&options));
            assert_eq!(outputs.asked_plugin().unwrap().1[0].retained, wanted, "{handling:?}");
        }
    }
}

/// [MQTT-3.8.4-3]
#[test]
fn subscription_that_is_made_again_has_its_new_options() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    bench.subscribe(link, &[named(1, to("t"))]);
    bench.subscribe(link, &[named(2, at("t", Qos::ExactlyOnce))]);
    assert_eq!(bench.holder.counts().subscriptions, 1);
    let outputs = bench.message(qos_1("t", "x"));
    let [queued] = outputs.delivered(link)[..] else { panic!("{outputs:?}") };
    assert_eq!(queued.subscription_ids.iter().map(|id| id.get()).collect::<Vec<_>>(), [2]);
}

#[test]
fn subscriptions_beyond_the_limit_are_refused_and_known_ones_are_not() {
    let mut bench = Bench::with(HolderConfig { subscriptions_max: 2, ..HolderConfig::default() });
    let link = bench.connect(durable("a"));
    let outputs = bench.subscribe(link, &[to("a"), to("b"), to("c"), to("a")]);
    let ok = Ok(Qos::AtLeastOnce);
    assert_eq!(granted(&outputs, link), [ok, ok, quota(), ok]);
    let outputs = bench.subscribe(link, &[to("d")]);
    assert_eq!(granted(&outputs, link), [quota()]);
    assert!(outputs.plugin().is_empty(), "there is nothing to ask");
    bench.unsubscribe(link, &["a"]);
    assert_eq!(granted(&bench.subscribe(link, &[to("d")]), link), [ok]);
}

#[test]
fn shared_subscription_is_refused_alone_where_there_are_none() {
    let shared_subscriptions = SharedSubscriptions::Refused;
    let mut bench = Bench::with(HolderConfig { shared_subscriptions, ..HolderConfig::default() });
    let link = bench.connect(durable("a"));
    let outputs = bench.subscribe(link, &[to("$share/g/t"), to("t")]);
    let expected = [Err(RefuseReason::SharedNotSupported), Ok(Qos::AtLeastOnce)];
    assert_eq!(granted(&outputs, link), expected);
    assert_eq!(bench.holder.counts().subscriptions, 1);
}

#[test]
fn plugin_that_refuses_undoes_what_is_new() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    bench.subscribe(link, &[to("known")]);
    let asked = bench.subscribe_unanswered(link, &[to("known"), to("new")]);
    let (ticket, _) = asked.asked_plugin().unwrap();
    let outputs = bench.step(Input::SubscribeRefused { ticket });
    assert_eq!(granted(&outputs, link), [quota(), quota()]);
    assert_eq!(outputs.routes(), ["-new"]);
    assert_eq!(bench.holder.counts().subscriptions, 1);
    assert_eq!(bench.message(qos_1("known", "x")).payloads(link), ["x"]);
    assert!(bench.message(qos_1("new", "x")).payloads(link).is_empty());
}

#[test]
fn plugin_that_refuses_undoes_what_is_new_also_when_the_connection_is_gone() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    let asked = bench.subscribe_unanswered(link, &[to("new")]);
    bench.lose(link);
    let link = bench.connect(durable("a"));
    let (ticket, _) = asked.asked_plugin().unwrap();
    let outputs = bench.step(Input::SubscribeRefused { ticket });
    assert_eq!(outputs.granted(link), None);
    assert_eq!(bench.holder.counts().subscriptions, 0);
}

#[test]
fn subscription_that_another_subscribe_waits_for_outlives_a_refusal() {
    for second_is_refused in [false, true] {
        let mut bench = Bench::new();
        let link = bench.connect(durable("a"));
        let [first, second] = [(); 2].map(|()| {
            let asked = bench.subscribe_unanswered(link, &[to("t")]);
            asked.asked_plugin().unwrap().0
        });
        bench.step(Input::SubscribeRefused { ticket: first });
        assert_eq!(bench.holder.counts().subscriptions, 1);
        if second_is_refused {
            bench.step(Input::SubscribeRefused { ticket: second });
        } else {
            bench.step(Input::Retained { ticket: second, retained: vec![vec![]] });
        }
        let left = usize::from(!second_is_refused);
        assert_eq!(bench.holder.counts().subscriptions, left);
    }
}

#[test]
fn answer_for_a_connection_that_is_gone_is_for_nobody() {
    for open in [durable("a"), ephemeral("a")] {
        let mut bench = Bench::new();
        let link = bench.connect(open.clone());
        let asked = bench.subscribe_unanswered(link, &[to("t")]);
        let (ticket, _) = asked.asked_plugin().unwrap();
        bench.lose(link);
        bench.connect(open);
        let retained = vec![vec![retained(qos_1("t", "old"))]];
        assert!(bench.step(Input::Retained { ticket, retained }).0.is_empty());
    }
}

/// [MQTT-3.10.4-2]
#[test]
fn unsubscribe_before_the_suback_leaves_the_retained_messages_out() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    let asked = bench.subscribe_unanswered(link, &[to("t")]);
    let (ticket, _) = asked.asked_plugin().unwrap();
    bench.unsubscribe(link, &["t"]);
    let retained = vec![vec![retained(qos_1("t", "old"))]];
    let outputs = bench.step(Input::Retained { ticket, retained });
    assert_eq!(granted(&outputs, link), [Ok(Qos::AtLeastOnce)], "the packet is answered");
    assert!(outputs.payloads(link).is_empty());
}

#[test]
fn answer_that_nobody_waits_for_is_ignored() {
    let mut bench = Bench::new();
    let ticket = ha_types::Ticket(77);
    assert!(bench.step(Input::Retained { ticket, retained: vec![] }).0.is_empty());
    assert!(bench.step(Input::SubscribeRefused { ticket }).0.is_empty());
}

#[test]
fn retained_messages_that_are_queued_count_against_the_queue() {
    let config = HolderConfig { queue_messages_max: 1, ..HolderConfig::default() };
    let mut bench = Bench::with(config);
    let link = bench.connect(durable("a"));
    let found = [retained(qos_1("t/1", "1")), retained(qos_2("t/2", "2"))];
    let outputs = bench.subscribe_with(link, &[to("t/+")], &found);
    assert_eq!(outputs.payloads(link), ["1"]);
    assert_eq!(bench.holder.counts().dropped, 1);
}

#[test]
fn retained_messages_that_nobody_keeps_come_with_the_answer() {
    for (open, kept) in [(durable("a"), &["1"][..]), (ephemeral("a"), &[])] {
        let mut bench = Bench::new();
        let link = bench.connect(open);
        let found = [retained(qos_0("t/0", "0")), retained(qos_1("t/1", "1"))];
        let outputs = bench.subscribe_with(link, &[to("t/+")], &found);
        let at_once = if kept.is_empty() { &["0", "1"][..] } else { &["0"] };
        assert_eq!(outputs.unqueued(link), at_once);
        assert_eq!(outputs.payloads(link), kept);
        assert_eq!(bench.holder.counts().queued, kept.len());
    }
}

#[test]
fn retained_message_is_left_out_when_a_newer_one_was_queued_meanwhile() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    let asked = [(); 2].map(|()| {
        let asked = bench.subscribe_unanswered(link, &[to("t")]);
        asked.asked_plugin().unwrap().0
    });
    let newer = Message { retain: true, ..qos_1("t", "new") };
    assert_eq!(bench.message(newer).payloads(link), ["new"]);
    for ticket in asked {
        let retained = vec![vec![retained(qos_1("t", "old"))]];
        assert!(bench.step(Input::Retained { ticket, retained }).payloads(link).is_empty());
    }
    // Nothing is remembered after the last answer.
    let outputs = bench.subscribe_with(link, &[to("t")], &[retained(qos_1("t", "old"))]);
    assert_eq!(outputs.payloads(link), ["old"]);
}

#[test]
fn retained_messages_come_after_what_is_queued_and_before_what_is_published_later() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    bench.subscribe(link, &[to("t")]);
    let mut all = bench.message(qos_1("t", "1")).0;
    all.extend(bench.subscribe_with(link, &[to("t")], &[retained(qos_1("t", "old"))]).0);
    all.extend(bench.message(qos_1("t", "2")).0);
    let all = Outputs(all);
    assert_eq!(all.payloads(link), ["1", "old", "2"]);
    let offsets: Vec<_> = all.delivered(link).iter().map(|queued| queued.offset).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    assert_eq!(text(&all.delivered(link)[1].message), "old");
}

#[test]
fn unsubscribe_says_what_existed_and_tells_the_plugin_about_it() {
    let mut bench = Bench::new();
    let link = bench.connect(durable("a"));
    bench.subscribe(link, &[to("t"), to("$share/g/t")]);
    let outputs = bench.unsubscribe(link, &["t", "u", "$share/g/t", "t"]);
    assert_eq!(outputs.existed(link), Some(&vec![true, false, true, false]));
    assert_eq!(outputs.routes(), ["-t"]);
    let subscriptions = vec![subscription("t"), subscription("$share/g/t")];
    let told = HostEvent::Unsubscribe { session: link.session.id, subscriptions };
    assert_eq!(outputs.plugin(), [&told]);
    assert!(bench.unsubscribe(link, &["t"]).plugin().is_empty());
    assert!(bench.message(qos_1("t", "x")).0.is_empty());
}
