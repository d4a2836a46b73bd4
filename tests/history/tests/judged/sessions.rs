//! Session Present, one connection at a time, and histories that contradict themselves.

use crate::story::{Q1, Q2, Story, again, delivered, publishing, subscribed_to_a, subscribing};
use history::{Kind, NEVER_EXPIRES, Present, Start, What};

const NEW: Present = Present::New;
const PRESENT: Present = Present::Present;

fn connecting(start: Start, expires_s: u32) -> What<String> {
    What::Connecting { start, expires_s }
}

fn connected(session: Present) -> What<String> {
    What::Connected { session }
}

fn connected_once() -> Story {
    Story::default().connects("s", 1, NEW)
}

#[test]
fn durable_session_is_present_until_something_ends_it() {
    connected_once().reconnects("s", 1).passes();
    let story = connected_once().fault("broker A").closed("s", 1).connects("s", 2, NEW);
    let verdict = story.fails_with(Kind::SessionPresent);
    assert_eq!(verdict.violations[0].sentence, "s lost its session, which nothing had ended");
}

#[test]
fn session_that_never_was_is_not_present() {
    Story::default().connects("s", 1, PRESENT).fails_with(Kind::SessionPresent);
}

#[test]
fn clean_start_never_finds_a_session() {
    let story = connected_once().closed("s", 1).then("s", 2, connecting(Start::Clean, 0));
    story.then("s", 2, connected(PRESENT)).fails_with(Kind::SessionPresent);
    let story = connected_once().closed("s", 1).then("s", 2, connecting(Start::Clean, 0));
    story.then("s", 2, connected(NEW)).passes();
}

#[test]
fn connect_without_an_answer_leaves_both_possible() {
    for session in [NEW, PRESENT] {
        let story = connected_once().closed("s", 1);
        let story = story.then("s", 2, connecting(Start::Clean, NEVER_EXPIRES)).closed("s", 2);
        story.connects("s", 3, session).passes();
        let story = Story::default().then("s", 1, connecting(Start::Resume, NEVER_EXPIRES));
        story.closed("s", 1).connects("s", 2, session).passes();
    }
}

#[test]
fn unanswered_connect_that_resumes_does_not_end_the_session() {
    let story = connected_once().closed("s", 1);
    let story = story.then("s", 2, connecting(Start::Resume, NEVER_EXPIRES)).closed("s", 2);
    story.connects("s", 3, NEW).fails_with(Kind::SessionPresent);
}

#[test]
fn session_with_a_finite_expiry_may_be_gone_unless_the_history_is_shorter() {
    let story = |declared: u32| {
        let story = Story::default().then("s", 0, What::LastsAtMost { seconds: declared });
        let story = story.then("s", 1, connecting(Start::Resume, 60)).then("s", 1, connected(NEW));
        let story = story.closed("s", 1).then("s", 2, connecting(Start::Resume, 60));
        story.then("s", 2, connected(NEW))
    };
    story(60).passes();
    story(59).fails_with(Kind::SessionPresent);
}

#[test]
fn disconnect_that_ends_the_session_may_or_may_not_arrive() {
    for session in [NEW, PRESENT] {
        let story = connected_once().then("s", 1, What::Closing { expires_s: Some(0) });
        story.closed("s", 1).connects("s", 2, session).passes();
    }
}

#[test]
fn older_connection_that_is_answered_after_a_newer_was_accepted_is_a_violation() {
    let story = connected_once().connects("s", 2, PRESENT).publishes("s", 1, 0, "a", Q1);
    story.acked("s", 1, 0, Q1).fails_with(Kind::ConnectedTwice);
    let story = connected_once().connects("s", 2, PRESENT).subscribes("s", 1, "a", Q1);
    story.fails_with(Kind::ConnectedTwice);
}

#[test]
fn answer_that_was_on_its_way_when_the_newer_was_accepted_is_right() {
    let story = connected_once().publishes("s", 1, 0, "a", Q1).connects("s", 2, PRESENT);
    let retry = again(publishing(0, "a", Q1));
    story.then("s", 2, retry).acked("s", 1, 0, Q1).passes();
}

#[test]
fn of_two_that_connect_at_once_either_is_served_but_not_both() {
    let race = || {
        let story = connected_once().closed("s", 1);
        let resume = || connecting(Start::Resume, NEVER_EXPIRES);
        let story = story.then("s", 2, resume()).then("s", 3, resume());
        story.then("s", 3, connected(PRESENT)).then("s", 2, connected(PRESENT))
    };
    race().subscribes("s", 2, "a", Q1).passes();
    race().subscribes("s", 3, "a", Q1).passes();
    let both = race().subscribes("s", 3, "a", Q1).subscribes("s", 2, "a", Q1);
    both.fails_with(Kind::ConnectedTwice);
}

#[test]
fn of_two_that_connect_at_once_either_may_begin_the_session() {
    let resume = || connecting(Start::Resume, NEVER_EXPIRES);
    let story = Story::default().then("s", 1, resume()).then("s", 2, resume());
    story.then("s", 1, connected(PRESENT)).then("s", 2, connected(NEW)).passes();
}

#[test]
fn ephemeral_client_of_a_broker_that_was_cut_off_may_get_new_messages_there() {
    let story = || {
        let story = Story::default().connects("p", 1, NEW).connects_ephemeral("s", 1);
        story.subscribes("s", 1, "a", Q1)
    };
    let ends = |story: Story| {
        let story = story.connects_ephemeral("s", 2).publishes("p", 1, 0, "a", Q1);
        story.gets("s", 1, 0, "a", Q1)
    };
    ends(story().fault("network of broker A")).passes();
    ends(story()).fails_with(Kind::ConnectedTwice);
}

#[test]
fn session_that_an_unanswered_connect_may_have_begun_has_nothing_in_flight() {
    let story = |seconds| {
        let resume = || connecting(Start::Resume, 60);
        let story = Story::default().then("s", 0, What::LastsAtMost { seconds });
        let story = story.connects("p", 1, NEW).then("s", 1, resume()).then("s", 1, connected(NEW));
        let story = story.subscribes("s", 1, "a", Q2).publishes("p", 1, 0, "a", Q2);
        let story = story.publishes("p", 1, 1, "a", Q2).gets("s", 1, 0, "a", Q2).closed("s", 1);
        let story = story.then("s", 2, resume()).closed("s", 2).then("s", 3, resume());
        let got = What::Delivered {
            publisher: "p".into(),
            number: 1,
            topic: "a".into(),
            qos: Q2,
            dup: false,
            retain: false,
            packet_id: 1,
        };
        story.then("s", 3, connected(PRESENT)).then("s", 3, got)
    };
    story(60).passes();
    story(59).fails_with(Kind::PacketIdInFlight);
}

#[test]
fn durable_session_gets_nothing_new_on_a_connection_that_was_replaced() {
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).connects("s", 2, PRESENT);
    story.gets("s", 1, 0, "a", Q1).passes();
    let story = subscribed_to_a(Q1).connects("s", 2, PRESENT).publishes("p", 1, 0, "a", Q1);
    story.gets("s", 1, 0, "a", Q1).fails_with(Kind::ConnectedTwice);
}

#[test]
fn history_that_contradicts_itself_proves_nothing() {
    let wrong = [
        connected_once().then("s", 2, subscribing("a", Q1)),
        connected_once().then("s", 2, publishing(0, "a", Q1)),
        connected_once().granted("s", 1, "a", Q1),
        connected_once().acked("s", 1, 0, Q1),
        connected_once().closed("s", 1).drained("s", 1),
        connected_once().then("s", 1, connecting(Start::Resume, 0)),
        connected_once().then("s", 1, connected(NEW)),
        connected_once().then("s", 1, subscribing("a/#/b", Q1)),
        connected_once().publishes("s", 1, 0, "a", Q1).publishes("s", 1, 0, "b", Q1),
        connected_once().connects("s", 2, PRESENT).drained("s", 1),
        connected_once().closed("s", 2),
        connected_once().closed("s", 1).then("s", 1, delivered("p", 0, "a", Q1)),
    ];
    for (number, story) in wrong.into_iter().enumerate() {
        let verdict = story.verdict();
        assert_eq!(verdict.totals, [(Kind::Misrecorded, 1)], "{number}: {verdict}");
    }
}
