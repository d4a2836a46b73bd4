//! The recorder, the file, the program that judges files, and what is kept of a verdict.

use std::process::Command;

use history::{
    At, Event, History, InvalidLine, Kind, PROOF_MAX, Recorder, VIOLATIONS_MAX, Verdict, What,
};
use proptest::prelude::*;

use crate::model::Model;
use crate::story::{Q1, Story, subscribed_to_a};

fn lines(history: &History) -> Vec<u8> {
    let mut lines = Vec::new();
    history.write_lines(&mut lines).unwrap();
    lines
}

fn in_words(history: &History) -> Vec<Event<String>> {
    history.events().map(|(_, event)| history.in_words(event)).collect()
}

#[test]
fn recorder_keeps_all_that_many_threads_see_each_in_its_order() {
    let recorder = Recorder::new(100_000);
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let client = recorder.client(&format!("client {thread}"));
            threads.spawn(move || {
                (1..=1_000).for_each(|connection| client.record(connection, What::Drained));
            });
        }
    });
    let history = recorder.take();
    assert_eq!((history.len(), history.left_out()), (8_000, 0));
    for thread in 0..8 {
        let name = recorder.name(&format!("client {thread}"));
        let own = history.events().filter(|(_, event)| event.who == name);
        let connections: Vec<_> = own.map(|(_, event)| event.connection).collect();
        assert!(connections.iter().copied().eq(1..=1_000), "{connections:?}");
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn history_that_did_not_fit_is_not_clean() {
    let recorder = Recorder::new(2);
    let process = recorder.client("broker A");
    process.record_alone(What::Fault);
    process.record_alone(What::Fault);
    process.record_alone(What::Fault);
    let verdict = recorder.take().check();
    assert_eq!((verdict.counts.events, verdict.counts.left_out), (2, 1));
    assert!(!verdict.is_clean() && verdict.totals.is_empty());
    assert!(verdict.to_string().contains("incomplete: 1 events found no room"), "{verdict}");
}

#[test]
fn event_takes_28_bytes() {
    assert_eq!(size_of::<Event>(), 28);
}

#[test]
fn line_is_json_that_names_things_by_their_names() {
    let history = Story::default().publishes("p", 3, 7, "a/b", Q1).history();
    let expected = "{\"who\":\"p\",\"connection\":3,\"what\":{\"publishing\":{\"number\":7,\
        \"topic\":\"a/b\",\"qos\":1,\"retain\":\"no\",\"dup\":false,\"expires_s\":null}}}\n";
    assert_eq!(String::from_utf8(lines(&history)).unwrap(), expected);
}

#[test]
fn what_is_no_history_is_refused_with_the_number_of_the_line() {
    let good = "{\"who\":\"s\",\"connection\":1,\"what\":\"drained\"}";
    let history = History::read_lines(format!("\n{good}\n  \n{good}").as_bytes()).unwrap();
    assert_eq!(history.len(), 2);
    let granted_3 = "{\"who\":\"s\",\"connection\":1,\"what\":{\"subscribed\":\
        {\"filter\":\"a\",\"granted\":3}}}";
    for bad in ["{}", "[", granted_3] {
        let error = History::read_lines(format!("{good}\n{bad}\n{good}").as_bytes()).unwrap_err();
        assert!(matches!(error, InvalidLine::NotAnEvent { number: 2, .. }), "{bad}: {error}");
    }
    let not_text = [good.as_bytes(), b"\n\xFF"].concat();
    let error = History::read_lines(&not_text[..]).unwrap_err();
    assert!(matches!(error, InvalidLine::Unreadable { number: 2, .. }), "{error}");
}

/// Deletes its file.
struct File(std::path::PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn judge(name: &str, text: &[u8]) -> (Option<i32>, String) {
    let name = format!("history-{name}-{}", std::process::id());
    let file = File(std::env::temp_dir().join(name));
    std::fs::write(&file.0, text).unwrap();
    let program = env!("CARGO_BIN_EXE_history-check");
    let output = Command::new(program).arg(&file.0).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn program_judges_a_file() {
    let clean = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1);
    let (code, text) = judge("clean", &lines(&clean.history()));
    assert_eq!((code, text.ends_with("clean\n")), (Some(0), true), "{text}");
    let lost = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1).drained("s", 1);
    let (code, text) = judge("lost", &lines(&lost.history()));
    let (wrong, proof) = ("acknowledged and lost (P1): 1", "#6 p (connection 1): PUBLISH 0 on a");
    assert!(code == Some(1) && text.contains(wrong) && text.contains(proof), "{text}");
    let (code, text) = judge("bad", b"{}");
    assert!(code == Some(2) && text.contains("line 1 is not an event: "), "{text}");
}

#[test]
fn first_violations_of_a_kind_are_kept_and_all_are_counted() {
    let mut story = subscribed_to_a(Q1);
    for number in 0..30 {
        story = story.publishes_acked("p", 1, number, "a", Q1);
    }
    let Verdict { totals, violations, .. } = story.drained("s", 1).verdict();
    assert_eq!(totals, [(Kind::AcknowledgedAndLost, 30)]);
    assert_eq!(violations.len(), VIOLATIONS_MAX);
    assert!(violations[0].sentence.contains("message 0 ") && violations[19].proof.len() == 4);
}

#[test]
fn proof_is_short_and_has_the_event_that_broke_the_promise() {
    let mut story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1);
    for _ in 0..40 {
        story = story.gets_acked("s", 1, 0, "a", Q1);
    }
    let verdict = story.verdict();
    assert_eq!(verdict.total(Kind::TwiceWithoutCause), 39);
    for (violation, place) in verdict.violations.iter().zip((9..).step_by(2)) {
        assert!(violation.proof.len() <= PROOF_MAX);
        let has_it = violation.proof.iter().any(|(at, _)| *at == At(place));
        assert!(has_it, "{violation}, without {place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn history_is_the_same_after_it_was_in_a_file(choices in prop::collection::vec(any::<u32>(), 60)) {
        let mut history = History::default();
        Model::run(&choices).events.into_iter().for_each(|event| history.push_named(event));
        let read = History::read_lines(&lines(&history)[..]).unwrap();
        prop_assert_eq!(in_words(&read), in_words(&history));
        prop_assert_eq!(read.check().counts, history.check().counts);
    }
}
