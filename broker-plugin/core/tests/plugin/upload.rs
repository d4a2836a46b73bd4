//! How a broker brings its copy of the retained messages to a new run of ha-server.

use broker_core::Input;
use ha_types::ServerIncarnation;
use ha_types::link::{Downstream, RetainedCopy, Upstream, Welcome};

use crate::common::{Bench, Outputs, publish, update, welcome};

fn wanted() -> Welcome {
    let retained_copy = RetainedCopy::Wanted;
    Welcome { server: ServerIncarnation(2), retained_copy, ..welcome() }
}

/// The topics of an upload, a clear as `!topic`, its end as `end`.
fn uploaded(outputs: &Outputs) -> Vec<String> {
    let text = |item: &&Upstream| match item {
        Upstream::RetainedCopy(change) => {
            let mark = if change.message.is_some() { "" } else { "!" };
            Some(format!("{mark}{}", change.topic))
        }
        Upstream::RetainedCopyEnd => Some("end".into()),
        _ => None,
    };
    outputs.sent().iter().filter_map(text).collect()
}

fn drained(bench: &mut Bench) -> Vec<String> {
    uploaded(&bench.step(Input::Drained(bench.stream())))
}

fn copy_of(bench: &mut Bench) -> Option<ServerIncarnation> {
    match bench.at_deadline().sent()[..] {
        [Upstream::Hello(hello)] => hello.copy_of,
        _ => panic!("only Hello is expected"),
    }
}

#[test]
fn copy_goes_up_page_by_page_and_its_end_comes_last() {
    let mut bench = Bench::attached();
    let topics: Vec<_> = (0..600).map(|n| format!("t/{n:03}")).collect();
    bench.transfer((1..).zip(&topics).map(|(v, topic)| update(topic, "x", v)).collect(), 600);
    bench.break_stream();
    let mut pages = vec![uploaded(&bench.attach_again(wanted()))];
    pages.extend((0..3).map(|_| drained(&mut bench)));
    let lengths: Vec<_> = pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [256, 256, 88, 1]);
    let end = vec!["end".to_owned()];
    assert_eq!(pages.concat(), [topics, end].concat());
    assert_eq!(drained(&mut bench), [""; 0], "all is up");
}

#[test]
fn cleared_topics_go_up_as_well_and_what_has_no_version_does_not() {
    let mut bench = Bench::attached();
    bench.transfer(vec![update("cleared", "", 1), update("kept", "x", 2)], 2);
    bench.receive(update("cleared later", "", 3));
    bench.break_stream();
    bench.publish(publish("kept", "mine").retained());
    bench.publish(publish("mine", "x").retained());
    let mut items = uploaded(&bench.attach_again(wanted()));
    items.extend(drained(&mut bench));
    assert_eq!(items, ["!cleared", "!cleared later", "kept", "end"].map(String::from));
}

#[test]
fn copy_stays_at_home_when_it_is_not_wanted() {
    let mut bench = Bench::attached();
    bench.transfer(vec![update("t", "x", 1)], 1);
    bench.break_stream();
    assert_eq!(uploaded(&bench.attach_again(welcome())), [""; 0]);
    assert_eq!(drained(&mut bench), [""; 0]);
}

#[test]
fn interrupted_upload_begins_anew_on_the_next_stream() {
    let mut bench = Bench::attached();
    bench.transfer(vec![update("t", "x", 1)], 1);
    bench.break_stream();
    assert_eq!(uploaded(&bench.attach_again(wanted())), ["t"]);
    bench.break_stream();
    assert_eq!(uploaded(&bench.attach_again(wanted())), ["t"]);
    assert_eq!(drained(&mut bench), ["end"]);
}

#[test]
fn hello_names_the_run_whose_transfer_was_complete_last() {
    let mut bench = Bench::detached();
    assert_eq!(copy_of(&mut bench), None);
    bench.receive(Downstream::Welcome(welcome()));
    bench.receive(Downstream::RetainedBegin);
    bench.break_stream();
    assert_eq!(copy_of(&mut bench), None, "it was interrupted");
    bench.receive(Downstream::Welcome(welcome()));
    bench.transfer(vec![], 0);
    bench.break_stream();
    assert_eq!(copy_of(&mut bench), Some(ServerIncarnation(1)));
    bench.receive(Downstream::Welcome(wanted()));
    bench.break_stream();
    assert_eq!(copy_of(&mut bench), Some(ServerIncarnation(1)), "nothing came of the second run");
}
