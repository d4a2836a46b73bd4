//! Reads any bytes as a script. Every byte means something, and what is missing is zero.

use broker_core::access::Identity;
use broker_core::codec::Text;
use broker_core::codec::{
    Ack, Auth, Authentication, Binary, Connect, Disconnect, FilterRequest, FromClient,
    NEVER_EXPIRES, PacketId, ProblemInformation, Reason, Remarks, RetainHandling, Subscribe,
    SubscriptionId, SubscriptionOptions, Unsubscribe, UserProperties, Version, Will,
};
use broker_core::engine::{Attempt, Ending, Limits, SharedSubscriptions, Verdict};
use broker_core::holder::HolderConfig;
use bytes::Bytes;
use ha_types::Qos;
use ha_types::session::RefuseReason;

use crate::spec::packets::{name, subscription, text};

/// Longer scripts take longer to find the same.
pub(crate) const STEPS_MAX: usize = 200;

/// More than an engine is given at once, however few its client takes.
pub(crate) const BURST_MAX: u8 = 48;

/// Messages of a client per second, where there is a limit.
pub(crate) const RATE_MAX: u32 = 20;

/// Longest life of a session, seconds.
pub(crate) const EXPIRY_MAX_S: u32 = 100_000;

/// Client identifiers that are fought over, and none.
pub(crate) const CLIENT_IDS: [&str; 4] = ["x", "y", "z", ""];

/// Levels and bytes of a topic.
pub(crate) const LEVELS_MAX: usize = 3;
pub(crate) const TOPIC_BYTES_MAX: usize = 16;

/// The last two are over the limits, the third last is the broker's own.
const TOPICS: [&str; 8] =
    ["a", "b", "a/b", "a/b/c", "$x", "$SYS/x", "a/b/c/d", "a-name-that-is-too-long"];

const FILTERS: [&str; 16] = [
    "a",
    "b",
    "#",
    "+",
    "a/#",
    "a/+",
    "+/b",
    "a/b/c",
    "$x",
    "$SYS/#",
    "$share/g/a",
    "$share/g/#",
    "$share/h/a",
    "$share/g/a/b",
    "a/b/+/#",
    "a-filter-that-is-too-long",
];

/// What the broker is told before it starts.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) holder: HolderConfig,
    pub(crate) filters_max: usize,
    pub(crate) retained_max: usize,
}

/// How a topic is named.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Naming {
    Name,
    Both(u16),
    Alias(u16),
}

/// A PUBLISH whose payload is still to be made.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) qos: Qos,
    pub(crate) id: u16,
    pub(crate) topic: &'static str,
    pub(crate) naming: Naming,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) is_empty: bool,
    pub(crate) padding: usize,
    pub(crate) properties: Bytes,
    pub(crate) expires_in_s: Option<u32>,
}

/// Something that a client, the network, time or the operator does. The first number is whose turn
/// it is.
#[derive(Debug)]
pub(crate) enum Step {
    Connect(usize, Box<Connect>),
    Publish(usize, Message),
    /// The same so many times, each with a payload of its own, as fast as they are acknowledged.
    Burst(usize, usize, Message),
    Send(usize, Box<FromClient>),
    /// What is due for one of the packets that the client has, or a refusal of it.
    Answer(usize, usize, Reason),
    AnswerAll(usize),
    Raw(usize, Vec<u8>),
    /// A byte of the next packet becomes another one.
    Spoil(usize, u8, u8),
    DropSocket(usize),
    Read(usize, bool),
    End(usize, Ending),
    ShutDown,
    /// The broker wants this client to go elsewhere.
    Leave(usize),
    Refuse(Option<RefuseReason>),
    Pass(u64),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    /// From 1.
    fn up_to(&mut self, max: u8) -> u8 {
        1 + self.byte() % max
    }
}

fn bit(byte: u8, at: u8) -> bool {
    byte >> at & 1 == 1
}

/// Limits that are reached soon.
pub(crate) fn setup(r: &mut Reader<'_>) -> Setup {
    let shared_subscriptions = r.pick(&[
        SharedSubscriptions::Served,
        SharedSubscriptions::Served,
        SharedSubscriptions::Served,
        SharedSubscriptions::Refused,
    ]);
    let reference = r.byte();
    Setup {
        limits: Limits {
            packet_bytes_max: r.pick(&[1_024, 200]),
            connect_timeout_ms: 1_000,
            receive_maximum: r.up_to(4).into(),
            inflight_max: r.up_to(4).into(),
            queue_messages_max: r.pick(&[4, 1, 2, 8, 100]),
            queue_bytes_max: r.pick(&[4_096, 512, 100]),
            topic_alias_maximum: r.pick(&[2, 0]),
            topic_alias_out_max: r.pick(&[2, 1, 0]),
            topic_levels_max: LEVELS_MAX,
            topic_bytes_max: TOPIC_BYTES_MAX,
            subscribing_max: r.up_to(4).into(),
            publish_rate_max: r.pick(&[0, 0, RATE_MAX]),
            keep_alive_max_s: r.pick(&[0, 20]),
            session_expiry_max_s: EXPIRY_MAX_S,
            shared_subscriptions,
            response_information: None,
            server_reference: (reference % 4 == 1).then(|| text("other:1883")),
            server_moved: bit(reference, 7),
        },
        holder: HolderConfig {
            sessions_max: r.pick(&[8, 2]),
            subscriptions_max: r.up_to(4).into(),
            queue_messages_max: r.pick(&[8, 100, 1]),
            queue_bytes_max: r.pick(&[10_000, 300]),
            shared_subscriptions,
        },
        filters_max: r.pick(&[100, 3]),
        retained_max: r.pick(&[100, 2]),
    }
}

/// The next step; `None`: the script is over.
pub(crate) fn step(r: &mut Reader<'_>) -> Option<Step> {
    if r.0.is_empty() {
        return None;
    }
    let (what, who) = (r.byte(), usize::from(r.byte() % 4));
    Some(match what % 32 {
        0..=3 => Step::Connect(who, Box::new(connect(r))),
        4..=8 => Step::Publish(who, message(r)),
        9 => Step::Burst(who, r.up_to(BURST_MAX).into(), message(r)),
        10..=12 => Step::Send(who, Box::new(FromClient::Subscribe(subscribe(r)))),
        13 => Step::Send(who, Box::new(FromClient::Unsubscribe(unsubscribe(r)))),
        14..=17 => {
            let reasons = [Reason::SUCCESS, Reason::SUCCESS, Reason(0x10), Reason(0x80)];
            Step::Answer(who, r.byte().into(), r.pick(&reasons))
        }
        18 => Step::AnswerAll(who),
        19 | 20 => Step::Send(who, Box::new(ack(r))),
        21 => {
            let len = usize::from(r.byte() % 32);
            Step::Raw(who, (0..len).map(|_| r.byte()).collect())
        }
        22 => Step::Spoil(who, r.byte(), r.byte()),
        23 => Step::DropSocket(who),
        24 => Step::Send(who, Box::new(FromClient::Disconnect(disconnect(r)))),
        25 => Step::Read(who, r.byte().is_multiple_of(2)),
        26 => Step::End(who, r.pick(&[Ending::Administrative, Ending::NotReading, Ending::Lost])),
        27 => {
            Step::Send(who, Box::new(r.pick(&[FromClient::Pingreq, FromClient::Auth(auth(who))])))
        }
        28 => Step::Send(who, Box::new(FromClient::Auth(auth(r.byte().into())))),
        29 | 30 => {
            let ms = [1, 50, 500, 1_000, 5_000, 60_000, 1_800_000, 10_000_000];
            Step::Pass(r.pick(&ms))
        }
        _ => match r.byte() % 8 {
            0 => Step::ShutDown,
            1 | 2 => Step::Refuse(Some(RefuseReason::QuotaExceeded)),
            3 => Step::Refuse(Some(RefuseReason::Unavailable)),
            4 => Step::Leave(who),
            _ => Step::Refuse(None),
        },
    })
}

fn qos(byte: u8) -> Qos {
    Qos::from_level(u32::from(byte % 3)).expect("there are three")
}

fn id(id: u8) -> PacketId {
    PacketId::new(id.into()).expect("not zero")
}

fn connect(r: &mut Reader<'_>) -> Connect {
    let version = r.pick(&[Version::V5, Version::V311, Version::V5, Version::V31]);
    let client_id = text(r.pick(&CLIENT_IDS));
    let flags = r.byte();
    let clean_start = bit(flags, 0);
    let connect = Connect {
        clean_start,
        keep_alive_s: if bit(flags, 1) { 10 } else { 0 },
        will: bit(flags, 2).then(|| will(r)),
        ..Connect::new(version, client_id)
    };
    if version < Version::V5 {
        return Connect {
            session_expiry_s: if clean_start { 0 } else { NEVER_EXPIRES },
            ..connect
        };
    }
    Connect {
        session_expiry_s: r.pick(&[0, 30, NEVER_EXPIRES, 1, 4_000]),
        receive_maximum: r.up_to(4).into(),
        packet_bytes_max: r.pick(&[u32::MAX, u32::MAX, 200, 64, 30, 8]),
        topic_alias_maximum: r.pick(&[0, 1, 2, 10]),
        problem_information: if bit(flags, 3) {
            ProblemInformation::Unwanted
        } else {
            ProblemInformation::Wanted
        },
        authentication: bit(flags, 4).then(|| authentication(r.byte())),
        ..connect
    }
}

fn will(r: &mut Reader<'_>) -> Will {
    let (flags, topic) = (r.byte(), r.pick(&TOPICS));
    let payload = Bytes::from(format!("{topic}|will"));
    Will {
        topic: name(topic),
        payload: Binary::parse(payload).expect("it is short"),
        qos: qos(flags >> 4),
        retain: bit(flags, 0),
        properties: Bytes::new(),
        expires_in_s: bit(flags, 1).then(|| r.byte().into()),
        delay_s: if bit(flags, 2) { u32::from(r.byte()) * 16 } else { 0 },
    }
}

fn message(r: &mut Reader<'_>) -> Message {
    let (flags, numbers) = (r.byte(), r.byte());
    let alias = u16::from(numbers >> 4) % 4;
    Message {
        qos: qos(flags >> 6),
        id: 1 + u16::from(numbers % 6),
        topic: r.pick(&TOPICS),
        naming: match flags & 3 {
            1 if alias > 0 => Naming::Both(alias),
            2 if alias > 0 => Naming::Alias(alias),
            _ => Naming::Name,
        },
        retain: bit(flags, 2),
        dup: bit(flags, 3),
        is_empty: flags & 0x30 == 0x30,
        padding: if bit(flags, 4) { r.pick(&[50, 150, 400]) } else { 0 },
        // A user property.
        properties: Bytes::from_static(if bit(flags, 5) { b"\x26\0\x01k\0\x01v" } else { b"" }),
        expires_in_s: if numbers >= 0xC0 { Some(r.pick(&[1, 0, 60])) } else { None },
    }
}

fn subscribe(r: &mut Reader<'_>) -> Subscribe {
    let numbers = r.byte();
    let filters = (0..=numbers >> 6 & 1).map(|_| filter_request(r)).collect();
    Subscribe {
        packet_id: id(1 + numbers % 6),
        subscription_id: SubscriptionId::new(u32::from(numbers >> 4) % 4),
        user_properties: UserProperties::default(),
        filters,
    }
}

fn filter_request(r: &mut Reader<'_>) -> FilterRequest {
    let (filter, flags) = (r.pick(&FILTERS), r.byte());
    let handling = [RetainHandling::AtSubscribe, RetainHandling::IfNew, RetainHandling::Never];
    let options = SubscriptionOptions {
        qos: qos(flags),
        // Spoiled packets may have it for a shared subscription.
        no_local: bit(flags, 7) && !filter.starts_with("$share"),
        retain_as_published: bit(flags, 6),
        retain_handling: handling[usize::from(flags >> 4) % 3],
    };
    FilterRequest { subscription: subscription(filter), options }
}

fn unsubscribe(r: &mut Reader<'_>) -> Unsubscribe {
    let numbers = r.byte();
    let filters = (0..=numbers >> 6 & 1).map(|_| subscription(r.pick(&FILTERS))).collect();
    let packet_id = id(1 + numbers % 6);
    Unsubscribe { packet_id, user_properties: UserProperties::default(), filters }
}

/// Of a packet that the client perhaps never had; or PUBREL.
fn ack(r: &mut Reader<'_>) -> FromClient {
    let kinds = [FromClient::Pubrel, FromClient::Puback, FromClient::Pubrec, FromClient::Pubcomp];
    let (kind, packet_id) = (r.pick(&kinds), id(r.up_to(8)));
    kind(Ack::new(packet_id, r.pick(&[Reason::SUCCESS, Reason::SUCCESS, Reason(0x92)])))
}

fn disconnect(r: &mut Reader<'_>) -> Disconnect {
    Disconnect {
        reason: r.pick(&[Reason::SUCCESS, Reason(0x04), Reason(0x81)]),
        session_expiry_s: r.pick(&[None, None, Some(0), Some(100), Some(NEVER_EXPIRES)]),
        ..Disconnect::default()
    }
}

fn auth(number: usize) -> Auth {
    let reason = [Reason(0x18), Reason(0x19)][number % 2];
    let data = u8::try_from(number / 2 % 16).expect("below 16");
    Auth { reason, authentication: authentication(data), remarks: Remarks::default() }
}

/// The data says what becomes of it: `play.rs`.
fn authentication(data: u8) -> Authentication {
    let method = text(if data % 16 == 15 { "n" } else { "m" });
    Authentication { method, data: Binary::parse(Bytes::from(vec![data])).ok() }
}

/// The data of a method says what becomes of it.
pub(crate) fn judge(attempt: &Attempt) -> Verdict {
    let is_ours = |method: &Text| method.as_str() == "m";
    let data = match attempt {
        Attempt::Plain { .. } => None,
        Attempt::Begin { method, .. } | Attempt::Again { method, .. } if !is_ours(method) => {
            return Verdict::BadMethod;
        }
        Attempt::Begin { data, .. } | Attempt::Again { data, .. } | Attempt::Continue { data } => {
            data.as_ref()
        }
    };
    match data.and_then(|data| data.as_bytes().first()).copied().unwrap_or(0) % 8 {
        3 | 7 => Verdict::Challenge { data: data.cloned() },
        4 => Verdict::BadCredentials,
        5 => Verdict::NotAuthorized,
        6 => Verdict::Busy,
        _ => Verdict::Admitted {
            identity: Identity { client_id: "somebody".into(), user_name: None },
            data: data.cloned(),
        },
    }
}
