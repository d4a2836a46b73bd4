//! Clients that went to another broker while there was no leader: what they acknowledged at the older
//! one does not come again (P3).

use ha_core::StreamId;
use ha_types::link::Upstream;
use ha_types::session::{
    Ask, CloseCause, Eviction, Offset, Progress, RecordStage, SessionKey, Tell,
};

use crate::common::{
    Cluster, LEASE_MS, RETURN_MS, announce_qos_0, ask, durable, given, hello, message, numbered,
    opened, resume,
};
use crate::sessions::{acknowledge, subscribed};

/// A client was given a message, and asks for its session at another broker: what that was told. The
/// older broker is not back.
struct Moved {
    cluster: Cluster,
    session: SessionKey,
    offset: Offset,
    other: StreamId,
}

fn moved() -> Moved {
    let (mut cluster, publisher, broker, session) = subscribed();
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    let [(offset, _)] = given(&cluster.tells(broker))[..] else { panic!("one was published") };
    cluster.change_leader();
    let other = cluster.attach("o");
    cluster.say(other, [ask(1, Ask::Open(durable("c", 9)))]);
    Moved { cluster, session, offset, other }
}

impl Moved {
    fn come_back(&mut self, items: impl IntoIterator<Item = Upstream>) -> StreamId {
        let stream = self.cluster.hello(hello("b", 1));
        self.cluster.say(stream, [announce_qos_0(&["t"])]);
        self.cluster.say(stream, items);
        stream
    }

    /// What comes again to the client.
    fn again(&mut self) -> Option<Vec<Offset>> {
        let tells = self.cluster.tells(self.other);
        if tells.is_empty() {
            return None;
        }
        let offset = |stage: &RecordStage| match stage {
            RecordStage::Sent(queued) => Some(queued.offset),
            RecordStage::Received => None,
        };
        Some(opened(&tells).records.iter().filter_map(|record| offset(&record.stage)).collect())
    }
}

fn close(session: SessionKey) -> Ask {
    let (cause, progress) = (CloseCause::Failure, Progress::default());
    Ask::Close { session, cause, progress, lifetime: None }
}

#[test]
fn what_the_older_broker_did_not_get_rid_of_counts_before_the_session_goes_on() {
    let mut moved = moved();
    assert_eq!(moved.again(), None);
    let (session, offset) = (moved.session, moved.offset);
    let last = [ask(3, acknowledge(session, &[offset])), ask(4, close(session))];
    moved.come_back([Upstream::Resumed].into_iter().chain(last));
    assert_eq!(moved.again(), Some(Vec::new()));
    assert_eq!(moved.cluster.state.unacknowledged(session.id), 0);
}

#[test]
fn connection_that_goes_on_at_the_older_broker_is_evicted_and_its_last_word_counts() {
    let mut moved = moved();
    let (session, offset) = (moved.session, moved.offset);
    let back = moved.come_back([resume(session, 1, Some(offset)), Upstream::Resumed]);
    let evict = Tell::Evict { session, why: Eviction::TakenOver };
    assert_eq!(moved.cluster.tells(back), [evict]);
    assert_eq!(moved.again(), None);
    let last = [ask(3, acknowledge(session, &[offset])), ask(4, close(session))];
    moved.cluster.say(back, last);
    assert_eq!(moved.again(), Some(Vec::new()));
}

#[test]
fn broker_that_is_back_and_says_nothing_is_waited_for_a_tenth_of_a_second() {
    let mut moved = moved();
    moved.cluster.wait(50, &[]);
    moved.come_back([Upstream::Resumed]);
    moved.cluster.wait(99, &[]);
    assert_eq!(moved.again(), None);
    moved.cluster.wait(1, &[]);
    assert_eq!(moved.again(), Some(vec![moved.offset]));
}

#[test]
fn broker_that_does_not_come_back_is_not_waited_for_beyond_a_new_leaders_beginning() {
    let mut moved = moved();
    moved.cluster.wait(RETURN_MS - 1, &[]);
    assert_eq!(moved.again(), None);
    moved.cluster.wait(1, &[]);
    assert_eq!(moved.again(), Some(vec![moved.offset]));

    let (mut cluster, _, _, _) = subscribed();
    cluster.change_leader();
    let other = cluster.attach("o");
    cluster.wait(RETURN_MS, &[other]);
    cluster.say(other, [ask(1, Ask::Open(durable("c", 9)))]);
    assert!(opened(&cluster.tells(other)).is_present);
    const { assert!(RETURN_MS < LEASE_MS, "or it would be lost before") };
}

#[test]
fn newer_life_of_the_older_broker_ends_the_wait() {
    let mut moved = moved();
    moved.cluster.attach_as(hello("b", 2), &[]);
    assert_eq!(moved.again(), Some(vec![moved.offset]));
}
