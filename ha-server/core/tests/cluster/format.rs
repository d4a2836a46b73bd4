//! Bytes that logs have must mean the same for good. A golden line changes only with a new version.

use std::sync::Arc;

use ha_core::cluster::{
    Asked, Batch, ClusterState, Command, FeatureLevel, StateLimits, Strategies, Strategy,
};
use ha_types::Qos::{AtLeastOnce, ExactlyOnce};
use ha_types::session::{
    CloseCause, ConnectionId, Lifetime, Offset, Open, Progress, Refused, RetainHandling,
    SessionEpoch, SessionKey, Start, SubscribeOptions, SubscriptionId,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
    Publisher, SessionId,
};
use proptest::prelude::*;

use crate::common::{at, durable, message, packet_id, subscription, will};

const SESSION: SessionKey = SessionKey { id: SessionId(300), epoch: SessionEpoch(2) };

fn commands() -> Vec<(Command, &'static str)> {
    [of_brokers(), of_sessions()].concat()
}

fn of_brokers() -> Vec<(Command, &'static str)> {
    let broker = BrokerEpoch(5);
    let published = Message {
        retain: true,
        expires_at: Some(ClusterMillis(1)),
        publisher: Publisher { session: SessionId(7), epoch: broker },
        properties: bytes::Bytes::from_static(b"p"),
        ..message("t/a", "xy", ExactlyOnce)
    };
    vec![
        (
            Command::Join { name: BrokerName::parse("b-1").unwrap(), incarnation: Incarnation(9) },
            "0103622d3109",
        ),
        (Command::Leave { broker }, "0205"),
        (
            Command::Publish {
                broker,
                number: Some(PublishNumber(128)),
                exchange: Some((SESSION, packet_id(3))),
                message: Arc::new(published),
            },
            "07 05 01 8001 01 ac02 02 03 03742f61 027879 0170 02 01 01 01 07 05",
        ),
        (Command::Expire { at_most: 100 }, "0b 64"),
        (Command::Sweep { at_most: 200 }, "0c c801"),
        (Command::WillsReceived { upto: PublishNumber(300) }, "18 ac02"),
        (
            Command::Configure(StateLimits {
                sessions_max: 1,
                subscriptions_max: 2,
                queue_messages_max: 3,
                queue_bytes_max: 4,
                filter_messages_max: 5,
                store_bytes_max: 6,
                retained_max: 7,
                retained_bytes_max: 8,
            }),
            "14 01 02 03 04 05 06 07 08",
        ),
        (Command::Share(strategies()), "15 02 02 0161 01 0162 04"),
        (Command::Raise(FeatureLevel(300)), "16 ac02"),
    ]
}

fn strategies() -> Strategies {
    let by_name = [("a".into(), Strategy::LocalFirst), ("b".into(), Strategy::ByTopic)];
    Strategies { otherwise: Strategy::LeastInFlight, by_name: by_name.into_iter().collect() }
}

fn of_sessions() -> Vec<(Command, &'static str)> {
    let asked = Asked { broker: BrokerEpoch(5), number: AskNumber(129) };
    let progress = Progress {
        acknowledged: vec![Offset::new(200), Offset { message: 3, private: 1 }],
        received: vec![packet_id(1)],
        completed: vec![packet_id(65_535)],
        refused: vec![Refused::Offset(Offset::new(9)), Refused::Record(packet_id(4))],
        passed_over: vec![Offset::new(7)],
    };
    let options = SubscribeOptions {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::IfNew,
        subscription_id: SubscriptionId::new(268_435_455),
        ..at("$share/g/a/+", AtLeastOnce)
    };
    let durable = Open { connection: ConnectionId(1), ..durable("c") };
    let lifetime = Lifetime::Seconds(60);
    let open = Open { will: will("w", 3), lifetime, ..durable.clone() };
    let clean = Open { start: Start::Clean, lifetime: Lifetime::Connection, ..durable };
    vec![
        (
            Command::Open { asked, open },
            "03 058101 01016301 3c01 0477696c6c 0177 00 01 00 00 00 00 00 03 0a",
        ),
        (Command::Open { asked, open: clean }, "03 058101 010163000000 0a"),
        (
            Command::Close {
                asked,
                session: SESSION,
                cause: CloseCause::Handover,
                progress: Progress::default(),
                lifetime: Some(Lifetime::Unlimited),
            },
            "04 058101 ac02 02 02 00 00 00 00 00 01 ffffffff0f",
        ),
        (
            Command::Subscribe {
                asked,
                session: SESSION,
                given_upto: None,
                subscriptions: vec![options],
            },
            "05 058101 ac02 02 00 01 0c 2473686172652f672f612f2b 01 01 01 01 01 ffffff7f",
        ),
        (
            Command::Unsubscribe {
                asked,
                session: SESSION,
                given_upto: Some(Offset { message: 200, private: 3 }),
                subscriptions: vec![subscription("a")],
            },
            "06 058101 ac02 02 01 c801 03 01 01 61",
        ),
        (
            Command::Release { asked, session: SESSION, packet_id: packet_id(300) },
            "08 058101 ac02 02 ac02",
        ),
        (
            Command::Progress { asked, session: SESSION, progress },
            "09 058101 ac02 02 02 c801 00 03 01 01 01 01 ffff03 02 00 09 00 01 04 01 07 00",
        ),
        (Command::Begin { session: SESSION, offsets: vec![Offset::new(6)] }, "0a ac02 02 01 06 00"),
        (Command::Pass { asked }, "0d 058101"),
        (Command::Forget { session: SESSION }, "17 ac02 02"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn commands_have_their_golden_bytes() {
    let time = ClusterMillis(300);
    for (command, golden) in commands() {
        let batch = Batch { time, commands: vec![command] };
        let bytes = batch.encode();
        let golden = format!("02ac0201{}", golden.replace(' ', ""));
        assert_eq!(hex(&bytes), golden, "{batch:?}");
        assert_eq!(Batch::decode(&bytes), Ok(batch));
    }
}

/// A broker that lives, and one that was lost, each with a publish that was refused.
#[test]
fn brokers_have_their_golden_bytes() {
    let join = |name: &str| {
        let name = BrokerName::parse(name).unwrap();
        Command::Join { name, incarnation: Incarnation(9) }
    };
    let refused = Message { retain: true, ..message("t", "x", AtLeastOnce) };
    let publish = |broker| {
        let (number, message) = (Some(PublishNumber(129)), Arc::new(refused.clone()));
        Command::Publish { broker: BrokerEpoch(broker), number, exchange: None, message }
    };
    let full = Command::Configure(StateLimits { retained_max: 0, ..StateLimits::default() });
    let leave = Command::Leave { broker: BrokerEpoch(2) };
    let expire = Command::Expire { at_most: 1 };
    let commands = vec![full, join("b-1"), join("b-2"), publish(1), publish(2), leave, expire];
    let mut state = ClusterState::new();
    state.apply(1, &Batch { time: ClusterMillis(300), commands }.encode());
    let parts = state.parts().filter(|(key, _)| [1, 8].contains(&key[0]));
    let parts: Vec<_> = parts.map(|(key, value)| (hex(&key), hex(&value))).collect();
    let golden = [
        ("010000000000000001", "02 03622d31 09 01 01 8101 01 8101 00 00 00"),
        ("080000000000000002", "02 03622d32 09 ac02 02 8101 01 8101 00"),
    ];
    let golden = golden.map(|(key, value)| (key.to_owned(), value.replace(' ', "")));
    assert_eq!(parts, golden);
}

/// A will that was published, and is retained.
#[test]
fn owed_will_has_its_golden_bytes() {
    let asked = Asked { broker: BrokerEpoch(1), number: AskNumber(1) };
    let name = BrokerName::parse("b").unwrap();
    let join = Command::Join { name, incarnation: Incarnation(9) };
    let mut open = Open { will: will("w", 0), lifetime: Lifetime::Connection, ..durable("c") };
    open.will.as_mut().map(|will| Arc::make_mut(&mut will.message).retain = true).unwrap();
    let open = Command::Open { asked, open };
    let leave = Command::Leave { broker: BrokerEpoch(1) };
    let raise = Command::Raise(FeatureLevel::NEWEST);
    let commands = vec![raise, join, open, leave, Command::Expire { at_most: 1 }];
    let mut state = ClusterState::new();
    state.apply(3, &Batch { time: ClusterMillis(300), commands }.encode());
    let parts = state.parts().filter(|(key, _)| key[0] == 13);
    let parts: Vec<_> = parts.map(|(key, value)| (hex(&key), hex(&value))).collect();
    let golden = "02 0477696c6c 0177 00 01 01 00 01 00 01".replace(' ', "");
    assert_eq!(parts, [("0d0000000000030000".to_owned(), golden)]);
}

/// By the first 16 bits of a hash, the place in the log.
#[test]
fn last_connect_has_its_golden_bytes() {
    let asked = Asked { broker: BrokerEpoch(1), number: AskNumber(1) };
    let name = BrokerName::parse("b").unwrap();
    let join = Command::Join { name, incarnation: Incarnation(9) };
    let raise = Command::Raise(FeatureLevel::NEWEST);
    let commands = vec![raise, join, Command::Open { asked, open: durable("client-7") }];
    let mut state = ClusterState::new();
    state.apply(300, &Batch { time: ClusterMillis(300), commands }.encode());
    let parts = state.parts().filter(|(key, _)| key[0] == 14);
    let parts: Vec<_> = parts.map(|(key, value)| (hex(&key), hex(&value))).collect();
    assert_eq!(parts, [("0e0000000000002c01".to_owned(), "02ac02".to_owned())]);
}

/// A session between PUBLISH and PUBREL.
#[test]
fn exchange_that_is_open_has_its_golden_bytes() {
    let asked = Asked { broker: BrokerEpoch(1), number: AskNumber(1) };
    let session = SessionKey { id: SessionId(1), epoch: SessionEpoch(1) };
    let publish = Command::Publish {
        broker: BrokerEpoch(1),
        number: Some(PublishNumber(129)),
        exchange: Some((session, packet_id(300))),
        message: Arc::new(message("t", "x", ExactlyOnce)),
    };
    let name = BrokerName::parse("b").unwrap();
    let join = Command::Join { name, incarnation: Incarnation(9) };
    let commands = vec![join, Command::Open { asked, open: durable("c") }, publish];
    let mut state = ClusterState::new();
    state.apply(1, &Batch { time: ClusterMillis(300), commands }.encode());
    let part = state.parts().find(|(key, _)| key[0] == 2).map(|(_, value)| hex(&value));
    let golden = "02 0163 01 01 01 00 01 01 00 ffffffff0f 0a ffff03 00 00 00 00 00 00 00 \
        01 ac02 01 01 8101 00 00 00";
    assert_eq!(part, Some(golden.replace(' ', "")));
}

#[test]
fn bytes_that_are_cut_or_too_many_are_malformed() {
    let commands = commands().into_iter().map(|(command, _)| command).collect();
    let bytes = Batch { time: ClusterMillis(1), commands }.encode();
    for len in 0..bytes.len() {
        assert!(Batch::decode(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Batch::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn numbers_beyond_their_type_are_malformed() {
    // Eleven bytes, a bit too many, and a count of commands beyond what is there.
    for bytes in [
        &[2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0][..],
        &[2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0],
        &[2, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
        // Expire at most 2^32.
        &[2, 0, 1, 11, 0x80, 0x80, 0x80, 0x80, 0x10],
    ] {
        assert!(Batch::decode(bytes).is_err(), "{bytes:x?}");
    }
}

proptest! {
    /// Whatever is read is written the same way again: one meaning has one form. Lifetimes and counts
    /// included; LEB128 with superfluous zero bytes is the exception, and is not written by anybody.
    #[test]
    fn any_bytes_are_a_batch_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[2][..], &bytes].concat();
        if let Ok(batch) = Batch::decode(&bytes) {
            prop_assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
        }
    }
}
