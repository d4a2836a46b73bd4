//! What clients subscribe to, and when they are told.

use broker_core::host::{HostEvent, RetainedWanted};
use broker_core::{Config, Event, Input};
use ha_types::limits::{FRAME_BYTES, TOPIC_BYTES_MAX};
use ha_types::link::{Downstream, Upstream};
use ha_types::{SessionId, Ticket};

use crate::common::{Bench, Outputs, always, config, update, wanting, welcome};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t/{n:03}")).collect()
}

fn subscribe_wanting(bench: &mut Bench, wanted: &[(&str, RetainedWanted)]) -> Outputs {
    let subscriptions = wanted.iter().map(|&(text, retained)| wanting(text, retained)).collect();
    let (ticket, session) = (Ticket(1), SessionId(1));
    bench.step(Input::Host(HostEvent::Subscribe { ticket, session, subscriptions }))
}

fn subscribe_all(bench: &mut Bench, ticket: u64, session: u64, names: &[String]) -> Outputs {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    bench.subscribe(ticket, session, &names)
}

#[test]
fn subscribe_is_answered_only_after_ha_server_took_it() {
    let mut bench = Bench::loaded();
    let outputs = bench.subscribe(7, 1, &["a/#", "b"]);
    assert_eq!(outputs.announced(), [(7, vec!["a/#", "b"])]);
    assert!(outputs.subscribed().is_empty());
    assert!(bench.interest_taken(8).subscribed().is_empty(), "not its ticket");
    assert_eq!(bench.interest_taken(7).subscribed(), [(7, vec![vec![], vec![]])]);
    assert!(bench.interest_taken(7).subscribed().is_empty(), "answered already");
}

#[test]
fn subscribe_is_answered_only_after_the_copy_of_the_retained_messages_is_complete() {
    let mut bench = Bench::attached();
    bench.subscribe(7, 1, &["t"]);
    bench.subscribe(8, 1, &["t"]);
    assert!(bench.interest_taken(7).subscribed().is_empty(), "t may still come");
    let outputs = bench.transfer(vec![update("t", "x", 1)], 1);
    assert_eq!(outputs.subscribed(), [(7, vec![vec!["t=x".to_owned()]])], "8 was not taken");
    assert_eq!(bench.interest_taken(8).subscribed().len(), 1);

    bench.receive(Downstream::RetainedBegin);
    bench.subscribe(9, 1, &["t"]);
    assert!(bench.interest_taken(9).subscribed().is_empty(), "a change was not told");
    assert_eq!(bench.break_stream().subscribed().len(), 1);
}

#[test]
fn subscribe_is_answered_at_once_without_ha_server() {
    let mut attaching = Bench::fresh();
    attaching.at(0);
    for mut bench in [Bench::alone(), Bench::detached(), attaching] {
        let outputs = bench.subscribe(7, 1, &["t"]);
        assert_eq!(outputs.subscribed(), [(7, vec![vec![]])]);
        assert!(outputs.announced().is_empty());
    }
}

#[test]
fn all_waiting_subscribes_are_answered_when_the_stream_breaks() {
    let mut bench = Bench::loaded();
    bench.subscribe(7, 1, &["a"]);
    bench.subscribe(8, 2, &["b"]);
    let answered = [(7, vec![vec![]]), (8, vec![vec![]])];
    assert_eq!(bench.break_stream().subscribed(), answered);
    bench.attach_again(welcome());
    assert!(bench.interest_taken(7).subscribed().is_empty(), "answered already");
}

#[test]
fn all_waiting_subscribes_are_answered_at_stop() {
    let mut bench = Bench::loaded();
    bench.subscribe(7, 1, &["a"]);
    assert_eq!(bench.step(Input::Stop).subscribed(), [(7, vec![vec![]])]);
}

#[test]
fn subscribe_to_a_known_filter_makes_the_round_trip_as_well() {
    let mut bench = Bench::loaded();
    bench.subscribe(7, 1, &["t"]);
    let outputs = bench.subscribe(8, 2, &["t"]);
    assert_eq!(outputs.announced(), [(8, vec![])]);
    assert!(outputs.subscribed().is_empty());
    assert_eq!(bench.interest_taken(8).subscribed().len(), 1);
}

#[test]
fn announcement_holds_at_most_256_filters_and_the_last_one_has_the_ticket() {
    for (count, expected) in [(256, vec![(7, 256)]), (257, vec![(0, 256), (7, 1)])] {
        let mut bench = Bench::loaded();
        let outputs = subscribe_all(&mut bench, 7, 1, &names(count));
        let sizes: Vec<_> = outputs.announced().iter().map(|(t, f)| (*t, f.len())).collect();
        assert_eq!(sizes, expected);
        assert!(bench.interest_taken(0).subscribed().is_empty());
        assert_eq!(bench.interest_taken(7).subscribed().len(), 1);
    }
}

#[test]
fn item_with_filters_never_outgrows_a_frame() {
    let long: Vec<_> = (0..20).map(|n| format!("{n:0>0$}", TOPIC_BYTES_MAX)).collect();
    let fits = |outputs: &Outputs| {
        let bytes = |item: &&Upstream| match item {
            Upstream::Announce { filters, .. } | Upstream::Withdraw { filters } => {
                filters.iter().map(|filter| filter.as_str().len()).sum()
            }
            _ => 0,
        };
        outputs.sent().iter().map(bytes).max() <= Some(FRAME_BYTES)
    };
    let mut bench = Bench::loaded();
    assert!(fits(&subscribe_all(&mut bench, 1, 1, &long)));
    bench.break_stream();
    let outputs = bench.attach_again(welcome());
    let announced: usize = outputs.announced().iter().map(|(_, filters)| filters.len()).sum();
    assert!(fits(&outputs) && announced == 20);
    let outputs = bench.end_session(1);
    assert!(fits(&outputs) && outputs.withdrawn().len() == 20);
}

#[test]
fn subscribe_is_refused_exactly_above_the_limit_of_filters() {
    let mut bench = Bench::new(Config { filters_max: 3, ..config() });
    bench.subscribe(1, 1, &["a", "b"]);
    let outputs = bench.subscribe(2, 1, &["c", "d"]);
    assert_eq!(outputs.refused(), [2]);
    assert_eq!(outputs.notes(), [&Event::FiltersFull]);
    assert_eq!(bench.plugin.filters(), 2, "none of them was taken");
    assert_eq!(bench.subscribe(3, 1, &["c"]).refused(), [0; 0]);
}

#[test]
fn known_filters_do_not_count_towards_the_limit_again() {
    let mut bench = Bench::new(Config { filters_max: 2, ..config() });
    bench.subscribe(1, 1, &["a", "b"]);
    assert_eq!(bench.subscribe(2, 2, &["a", "b"]).refused(), [0; 0], "of another session");
    assert_eq!(bench.subscribe(3, 1, &["a", "b", "b"]).refused(), [0; 0], "subscribed again");
    assert_eq!(bench.subscribe(4, 2, &["$share/g/a"]).refused(), [4], "more than a session may");
}

#[test]
fn filter_twice_in_one_subscribe_counts_once() {
    let mut bench = Bench::new(Config { filters_max: 1, ..config() });
    assert_eq!(bench.subscribe(1, 1, &["a", "a"]).refused(), [0; 0]);
    assert_eq!(bench.plugin.filters(), 1);
}

#[test]
fn end_of_a_session_withdraws_only_what_nobody_else_needs() {
    let mut bench = Bench::loaded();
    bench.subscribe(1, 1, &["mine", "shared", "ours"]);
    bench.subscribe(2, 2, &["ours", "$share/g/shared"]);
    assert_eq!(bench.end_session(1).withdrawn(), ["mine"]);
    assert_eq!(bench.end_session(1).0, [], "gone already");
    assert_eq!(bench.end_session(2).withdrawn(), ["ours", "shared"]);
    assert_eq!(bench.plugin.filters(), 0);
}

#[test]
fn unsubscribe_withdraws_only_what_nobody_else_needs() {
    let mut bench = Bench::loaded();
    bench.subscribe(1, 1, &["mine", "ours"]);
    bench.subscribe(2, 2, &["ours"]);
    assert_eq!(bench.unsubscribe(1, &["mine", "ours", "never had"]).withdrawn(), ["mine"]);
    assert_eq!(bench.unsubscribe(1, &["mine", "ours"]).0, []);
    assert_eq!(bench.unsubscribe(2, &["ours"]).withdrawn(), ["ours"]);
}

#[test]
fn session_that_ends_while_its_subscribe_waits_is_answered_all_the_same() {
    let mut bench = Bench::loaded();
    bench.subscribe(7, 1, &["t"]);
    assert_eq!(bench.end_session(1).withdrawn(), ["t"]);
    assert_eq!(bench.interest_taken(7).subscribed().len(), 1);
}

#[test]
fn everything_is_announced_again_after_a_broken_stream() {
    let mut bench = Bench::loaded();
    bench.subscribe(1, 1, &["a", "gone"]);
    bench.break_stream();
    bench.subscribe(2, 2, &["b"]);
    assert_eq!(bench.unsubscribe(1, &["gone"]).0, [], "nobody to tell");
    let outputs = bench.attach_again(welcome());
    assert_eq!(outputs.announced(), [(0, vec!["a", "b"])]);
}

#[test]
fn retained_messages_come_with_the_answer_as_they_are_then() {
    let mut bench = Bench::loaded();
    bench.transfer(vec![update("t/1", "old", 1), update("u", "x", 2)], 2);
    bench.subscribe(1, 1, &["t/+", "none"]);
    bench.receive(update("t/1", "new", 3));
    let retained = vec![vec!["t/1=new".to_owned()], vec![]];
    assert_eq!(bench.interest_taken(1).subscribed(), [(1, retained)]);
}

#[test]
fn retain_handling_decides_which_retained_messages_come() {
    let mut bench = Bench::alone();
    bench.publish(crate::common::publish("t", "x").retained());
    let wanted = [RetainedWanted::Never, RetainedWanted::IfNew, RetainedWanted::Always];
    let mut counts = |first: RetainedWanted| {
        bench.end_session(1);
        let outputs = subscribe_wanting(&mut bench, &[("t", first)]);
        let mut counts = vec![outputs.subscribed()[0].1[0].len()];
        let outputs = subscribe_wanting(&mut bench, &[("t", first)]);
        counts.push(outputs.subscribed()[0].1[0].len());
        counts
    };
    assert_eq!(wanted.map(&mut counts), [[0, 0], [1, 0], [1, 1]]);
}

#[test]
fn subscription_repeated_in_one_subscribe_is_not_new_the_second_time() {
    let mut bench = Bench::alone();
    bench.publish(crate::common::publish("t", "x").retained());
    let twice = [("t", RetainedWanted::IfNew), ("t", RetainedWanted::IfNew)];
    let outputs = subscribe_wanting(&mut bench, &twice);
    let counts: Vec<_> = outputs.subscribed()[0].1.iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 0]);
}

#[test]
fn shared_subscription_never_gets_retained_messages() {
    let mut bench = Bench::alone();
    bench.publish(crate::common::publish("t", "x").retained());
    let subscriptions = vec![always("$share/g/t"), always("t")];
    let (ticket, session) = (Ticket(1), SessionId(1));
    let outputs = bench.step(Input::Host(HostEvent::Subscribe { ticket, session, subscriptions }));
    assert_eq!(outputs.subscribed(), [(1, vec![vec![], vec!["t=x".to_owned()]])]);
}

#[test]
fn ha_servers_answer_to_the_broker_itself_answers_no_subscribe() {
    let mut bench = Bench::loaded();
    bench.subscribe(1, 1, &["t"]);
    let nobodys = Downstream::InterestTaken { ticket: Ticket(0) };
    assert_eq!(bench.receive(nobodys).0, []);
}
