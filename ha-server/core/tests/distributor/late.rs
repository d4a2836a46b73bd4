//! Publishes that come after their session has gone on under another ownership (P4).

use ha_core::{Input, StreamId};
use ha_types::link::PublishOutcome::{Accepted, Fenced};
use ha_types::link::Upstream;
use ha_types::session::{Ask, Lifetime, Open, PacketId, SessionKey, Start};
use ha_types::{Message, PublishNumber, Qos};

use crate::common::{
    Cluster, announce_qos_0, ask, config, durable, given, hello, message, opened, retained,
    subscribe, with_qos,
};

fn of(session: SessionKey, number: u64, message: Message) -> Upstream {
    Upstream::Publish {
        number: Some(PublishNumber(number)),
        exchange: Some((session, PacketId::new(1).unwrap())),
        message: message.into(),
    }
}

fn ephemeral(client_id: &str, connection: u64) -> Open {
    let (start, lifetime) = (Start::Clean, Lifetime::Connection);
    Open { start, lifetime, ..durable(client_id, connection) }
}

fn open(cluster: &mut Cluster, stream: StreamId, number: u64, open: Open) -> SessionKey {
    cluster.say(stream, [ask(number, Ask::Open(open))]);
    opened(&cluster.tells(stream)).session
}

/// Whose publish is late: a client's that has gone from broker `p` to `o` while `p` had no stream.
struct Gone {
    cluster: Cluster,
    /// Another broker, with a live subscriber of `t`.
    live: StreamId,
    /// As it was at `p`.
    session: SessionKey,
}

impl Gone {
    /// What is published of the client's at `o` is there before anything else.
    fn new(of_client: impl Fn(u64) -> Open) -> Self {
        let mut cluster = Cluster::new(config());
        let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
        let session = open(&mut cluster, publisher, 1, of_client(1));
        cluster.step(Input::Broken(publisher));
        let other = cluster.attach("o");
        let new = open(&mut cluster, other, 1, of_client(9));
        cluster.say(other, [of(new, 1, message("t", "new"))]);
        cluster.receive_all(live);
        assert_eq!(cluster.payloads(live), ["new"]);
        assert_eq!(cluster.outcomes(other), [Accepted]);
        Self { cluster, live, session }
    }
}

#[test]
fn late_publish_reaches_nobody_on_the_live_path_and_is_fenced() {
    for of_client in [durable, ephemeral] {
        let Gone { mut cluster, live, session } = Gone::new(|n| of_client("c", n));
        let publisher = cluster.attach("p");
        cluster.say(publisher, [of(session, 1, message("t", "old"))]);
        assert_eq!(cluster.outcomes(publisher), [Fenced]);
        assert!(cluster.payloads(live).is_empty());
    }
}

#[test]
fn late_publish_reaches_nobody_through_the_log_and_is_fenced() {
    let Gone { mut cluster, live, session } = Gone::new(|n| durable("c", n));
    let subscriber = cluster.attach("d");
    let queue = open(&mut cluster, subscriber, 1, durable("sub", 1));
    let asked = subscribe(queue, "t", Qos::AtLeastOnce);
    cluster.say(subscriber, [announce_qos_0(&["t"]), ask(2, asked)]);
    let publisher = cluster.attach("p");
    let late = [of(session, 1, message("t", "1")), of(session, 2, retained("other", "2"))];
    cluster.say(publisher, late);
    assert_eq!(cluster.outcomes(publisher), [Fenced, Fenced]);
    assert!(cluster.payloads(live).is_empty());
    assert!(given(&cluster.tells(subscriber)).is_empty());
    assert_eq!(cluster.state.retained().len(), 0);
}

#[test]
fn late_publish_is_fenced_by_a_new_leader_too_and_when_it_comes_again() {
    let Gone { mut cluster, session, .. } = Gone::new(|n| durable("c", n));
    for is_new_leader in [true, false] {
        if is_new_leader {
            cluster.change_leader();
        }
        let live = cluster.subscriber("l", &["t"]);
        let publisher = cluster.attach("p");
        cluster.say(publisher, [of(session, 1, message("t", "old"))]);
        assert_eq!(cluster.outcomes(publisher), [Fenced]);
        assert!(cluster.payloads(live).is_empty());
        [publisher, live].into_iter().for_each(|stream| cluster.step(Input::Broken(stream)));
    }
}

/// One that was refused on the live path is not in the log, and what follows it there is.
#[test]
fn late_publish_is_fenced_also_when_the_log_has_a_later_number() {
    let Gone { mut cluster, session, .. } = Gone::new(|n| durable("c", n));
    let publisher = cluster.attach("p");
    let other = open(&mut cluster, publisher, 2, durable("other", 2));
    let items = || [of(session, 1, message("t", "old")), of(other, 2, retained("t", "mine"))];
    cluster.say(publisher, items());
    assert_eq!(cluster.outcomes(publisher), [Fenced]);
    cluster.change_leader();
    cluster.attach("o");
    let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
    // In the log all the same: a durable filter matches.
    let queue = open(&mut cluster, publisher, 3, durable("sub", 3));
    cluster.say(publisher, [ask(4, subscribe(queue, "t", Qos::AtLeastOnce))]);
    cluster.say(publisher, items());
    cluster.receive_all(live);
    assert_eq!(cluster.outcomes(publisher), [Fenced, Accepted]);
    assert_eq!(cluster.payloads(live), ["mine"]);
}

#[test]
fn publish_of_a_connection_that_began_anew_at_the_same_broker_is_late() {
    for of_client in [durable, ephemeral] {
        let mut cluster = Cluster::new(config());
        let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
        let old = open(&mut cluster, publisher, 1, of_client("c", 1));
        cluster.say(publisher, [ask(2, Ask::Open(of_client("c", 2)))]);
        cluster.wait(100, &[publisher, live]);
        let new = opened(&cluster.tells(publisher)).session;
        let items = [of(new, 1, message("t", "new")), of(old, 2, message("t", "old"))];
        cluster.say(publisher, items);
        cluster.receive_all(live);
        assert_eq!(cluster.payloads(live), ["new"]);
        assert_eq!(cluster.outcomes(publisher), [Accepted, Fenced]);
    }
}

#[test]
fn fenced_publish_is_answered_in_its_order() {
    let mut cluster = Cluster::new(config());
    let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
    let session = open(&mut cluster, publisher, 1, durable("c", 1));
    let never = SessionKey { id: ha_types::SessionId(77), ..session };
    cluster.say(publisher, [of(session, 1, message("t", "1")), of(never, 2, message("t", "2"))]);
    assert!(cluster.outcomes(publisher).is_empty(), "the first waits for its subscriber");
    cluster.receive_all(live);
    assert_eq!(cluster.outcomes(publisher), [Accepted, Fenced]);
}

/// The answer was lost with its stream. While the connection is there it gets the same; one that is
/// gone must not be told that it was taken, because it may not have been.
#[test]
fn publish_that_was_answered_is_answered_again_while_its_session_is_owned() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let session = open(&mut cluster, publisher, 1, durable("c", 1));
    let come = |cluster: &mut Cluster, stream| {
        cluster.say(stream, [of(session, 1, message("t", "1"))]);
        let outcomes = cluster.outcomes(stream);
        cluster.step(Input::Broken(stream));
        outcomes
    };
    assert_eq!(come(&mut cluster, publisher), [Accepted]);
    let publisher = cluster.attach("p");
    assert_eq!(come(&mut cluster, publisher), [Accepted]);
    let other = cluster.attach("o");
    open(&mut cluster, other, 1, durable("c", 9));
    let publisher = cluster.attach("p");
    assert_eq!(come(&mut cluster, publisher), [Fenced]);
}

/// Its answer waits for another broker, and until then the client may have published more elsewhere. Also to a broker
/// that has no interest yet: once it has, later messages would come before this one, which came with the answer.
#[test]
fn message_of_qos_2_comes_back_to_its_own_broker_before_it_is_answered() {
    for filters in [&["t"][..], &[]] {
        let mut cluster = Cluster::new(config());
        let (publisher, live) = (cluster.subscriber("p", filters), cluster.subscriber("l", &["t"]));
        let session = open(&mut cluster, publisher, 1, durable("c", 1));
        let once = with_qos(Qos::ExactlyOnce, message("t", "m"));
        cluster.say(publisher, [of(session, 1, once)]);
        assert_eq!(cluster.payloads(publisher), ["m"]);
        cluster.receive_all(live);
        assert!(cluster.results(publisher).is_empty(), "it has not said that it received it");
        cluster.receive_all(publisher);
        assert_eq!(cluster.results(publisher), [1]);
    }
}

/// Its answer could go at once, to a stream that is broken: what was published after it would then come first.
#[test]
fn message_of_qos_2_comes_back_also_when_nobody_else_needs_it() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.subscriber("p", &["t"]);
    let session = open(&mut cluster, publisher, 1, durable("c", 1));
    for (number, payload) in [(1, "first"), (2, "second")] {
        let exchange = Some((session, PacketId::new(number).unwrap()));
        let message = with_qos(Qos::ExactlyOnce, message("t", payload)).into();
        let number = Some(PublishNumber(number.into()));
        cluster.say(publisher, [Upstream::Publish { number, exchange, message }]);
    }
    cluster.step(Input::Broken(publisher));
    let publisher = cluster.hello(hello("p", 1));
    cluster.say(publisher, [Upstream::Resumed]);
    assert_eq!(cluster.payloads(publisher), ["first", "second"]);
    cluster.receive_all(publisher);
}

#[test]
fn message_of_qos_2_comes_back_also_after_its_brokers_stream_broke() {
    let mut cluster = Cluster::new(config());
    let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
    let session = open(&mut cluster, publisher, 1, durable("c", 1));
    let once = with_qos(Qos::ExactlyOnce, message("t", "m"));
    cluster.say(publisher, [of(session, 1, once)]);
    let publisher = cluster.hello(hello("p", 1));
    cluster.say(publisher, [Upstream::Resumed]);
    assert_eq!(cluster.payloads(publisher), ["m"]);
    cluster.receive_all(live);
    cluster.receive_all(publisher);
}

#[test]
fn message_of_qos_2_comes_back_that_waits_behind_another_one() {
    let mut cluster = Cluster::new(config());
    let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
    let session = open(&mut cluster, publisher, 1, durable("c", 1));
    cluster.say(publisher, [of(session, 1, message("t", "first"))]);
    let once = with_qos(Qos::ExactlyOnce, message("nobody", "m"));
    let another = Some((session, PacketId::new(2).unwrap()));
    let (number, message) = (Some(PublishNumber(2)), once.into());
    cluster.say(publisher, [Upstream::Publish { number, exchange: another, message }]);
    assert_eq!(cluster.payloads(publisher), ["m"]);
    cluster.receive_all(live);
    cluster.receive_all(publisher);
    assert_eq!(cluster.results(publisher), [1, 2]);
}
