//! Any valid packet.

use broker_core::codec::*;
use bytes::{Bytes, BytesMut};
use ha_types::{Qos, Subscription, TopicName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn version() -> impl Strategy<Value = Version> {
    select(&Version::ALL[..])
}

pub(crate) fn text() -> impl Strategy<Value = Text> {
    "[a-z\u{1}\u{7F}é€😀\u{FFFF}]{0,12}".prop_map(|text| super::text(&text))
}

fn binary() -> impl Strategy<Value = Binary> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| Binary::parse(bytes.into()).unwrap())
}

pub(crate) fn topic_name() -> impl Strategy<Value = TopicName> {
    "[a-z/é$]{1,40}".prop_map(|text| TopicName::parse(text.into()).unwrap())
}

fn qos() -> impl Strategy<Value = Qos> {
    select(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][..])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(super::id)
}

pub(crate) fn flow() -> impl Strategy<Value = Flow> {
    prop_oneof![
        Just(Flow::AtMostOnce),
        packet_id().prop_map(Flow::AtLeastOnce),
        packet_id().prop_map(Flow::ExactlyOnce),
    ]
}

fn user_properties() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..4)
        .prop_map(|pairs| UserProperties::from_pairs(pairs.iter().map(|(n, v)| (n, v))))
}

fn remarks() -> impl Strategy<Value = Remarks> {
    (option::of(text()), user_properties())
        .prop_map(|(reason_string, user_properties)| Remarks { reason_string, user_properties })
}

/// The properties that travel with a message, each at most once, in any order.
pub(crate) fn opaque() -> impl Strategy<Value = Bytes> {
    let field =
        |id: u8, content: &[u8]| [&[id, 0, u8::try_from(content.len()).unwrap()], content].concat();
    let one = prop_oneof![
        (0..=1_u8).prop_map(|format| (1, vec![1, format])),
        text().prop_map(move |text| (3, field(3, text.as_bytes()))),
        topic_name().prop_map(move |name| (8, field(8, name.as_bytes()))),
        binary().prop_map(move |data| (9, field(9, data.as_bytes()))),
        text().prop_map(move |text| {
            (0x26, [field(0x26, text.as_bytes()), vec![0, 1, b'v']].concat())
        }),
    ];
    vec(one, 0..6).prop_map(|properties| {
        let (mut seen, mut out) = (Vec::new(), BytesMut::new());
        for (id, wire) in properties {
            if id == 0x26 || !seen.contains(&id) {
                seen.push(id);
                out.extend_from_slice(&wire);
            }
        }
        out.freeze()
    })
}

pub(crate) fn subscription_ids() -> impl Strategy<Value = Vec<SubscriptionId>> {
    vec((1..=268_435_455_u32).prop_map(|id| SubscriptionId::new(id).unwrap()), 0..4)
}

fn authentication() -> impl Strategy<Value = Authentication> {
    (text(), option::of(binary())).prop_map(|(method, data)| Authentication { method, data })
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let content = (topic_name(), binary(), qos(), any::<bool>());
    let properties = (opaque(), option::of(any::<u32>()), any::<u32>());
    (content, properties).prop_map(move |((topic, payload, qos, retain), properties)| {
        let (properties, expires_in_s, delay_s) = match version {
            Version::V5 => properties,
            Version::V31 | Version::V311 => (Bytes::new(), None, 0),
        };
        Will { topic, payload, qos, retain, properties, expires_in_s, delay_s }
    })
}

pub(crate) fn connect() -> impl Strategy<Value = Connect> {
    version().prop_flat_map(|version| {
        let base = ("[a-z+#/]{1,30}", any::<bool>(), any::<u16>());
        let limits = (any::<u32>(), 1..=u16::MAX, 1..=u32::MAX, any::<u16>());
        let wishes = (any::<bool>(), any::<bool>(), user_properties());
        let credentials = (option::of(authentication()), option::of(text()), option::of(binary()));
        let will = option::of(will(version));
        (base, limits, wishes, credentials, will).prop_map(
            move |((client_id, clean_start, keep_alive_s), limits, wishes, credentials, will)| {
                let mut connect = Connect::new(version, super::text(&client_id));
                (connect.clean_start, connect.keep_alive_s, connect.will) =
                    (clean_start, keep_alive_s, will);
                (_, connect.user_name, connect.password) = credentials.clone();
                if version == Version::V5 {
                    connect.session_expiry_s = limits.0;
                    connect.receive_maximum = limits.1;
                    connect.packet_bytes_max = limits.2;
                    connect.topic_alias_maximum = limits.3;
                    connect.wants_response_information = wishes.0;
                    if wishes.1 {
                        connect.problem_information = ProblemInformation::Unwanted;
                    }
                    connect.user_properties = wishes.2;
                    connect.authentication = credentials.0;
                } else {
                    connect.session_expiry_s = if clean_start { 0 } else { NEVER_EXPIRES };
                    if connect.user_name.is_none() {
                        connect.password = None;
                    }
                }
                connect
            },
        )
    })
}

fn publish(version: Version, sender: Sender) -> impl Strategy<Value = Publish> {
    let alias = option::of((1..=u16::MAX).prop_map(|alias| TopicAlias::new(alias).unwrap()));
    let flags = (flow(), any::<bool>(), any::<bool>());
    let topic = (topic_name(), alias, any::<bool>());
    let rest = (option::of(any::<u32>()), subscription_ids(), opaque());
    let payload = vec(any::<u8>(), 0..200);
    (flags, topic, rest, payload).prop_map(move |(flags, (name, alias, known), rest, payload)| {
        let (flow, dup, retain) = flags;
        let topic = match alias.filter(|_| version == Version::V5) {
            None => Topic::Name(name),
            Some(alias) if known => Topic::Alias(alias),
            Some(alias) => Topic::Both(name, alias),
        };
        let (expires_in_s, subscription_ids, properties) = match version {
            Version::V5 => rest,
            Version::V31 | Version::V311 => (None, Vec::new(), Bytes::new()),
        };
        Publish {
            flow,
            dup: dup && (flow != Flow::AtMostOnce || version == Version::V31),
            retain,
            topic,
            expires_in_s,
            subscription_ids: if sender == Sender::Server { subscription_ids } else { Vec::new() },
            properties,
            payload: payload.into(),
        }
    })
}

/// A reason code that the packet may have, success before 5.0.
fn reason(version: Version, packet: PacketType, sender: Sender) -> impl Strategy<Value = Reason> {
    let reasons: Vec<_> = (0..=255)
        .map(Reason)
        .filter(|reason| match version {
            Version::V5 => reason.is_allowed_in(packet, sender),
            Version::V31 | Version::V311 => *reason == Reason::SUCCESS,
        })
        .collect();
    select(reasons)
}

fn spoken(version: Version) -> impl Strategy<Value = Remarks> {
    remarks().prop_map(move |remarks| match version {
        Version::V5 => remarks,
        Version::V31 | Version::V311 => Remarks::default(),
    })
}

fn ack(version: Version, packet: PacketType, sender: Sender) -> impl Strategy<Value = Ack> {
    (packet_id(), reason(version, packet, sender), spoken(version))
        .prop_map(|(packet_id, reason, remarks)| Ack { packet_id, reason, remarks })
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let texts = ["#", "+", "a", "a/+/b", "/", "$SYS/#", "é/#", "$share/g/a/#", "$share/h//+"];
    select(texts.to_vec()).prop_map(|text| Subscription::parse(text.as_bytes()).unwrap())
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    let handling = [RetainHandling::AtSubscribe, RetainHandling::IfNew, RetainHandling::Never];
    (qos(), any::<bool>(), any::<bool>(), select(handling.to_vec())).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V5 => {
                SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
            }
            Version::V31 | Version::V311 => SubscriptionOptions { qos, ..Default::default() },
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let request = (subscription(), options(version)).prop_map(|(subscription, mut options)| {
        options.no_local &= matches!(subscription, Subscription::Plain(_));
        FilterRequest { subscription, options }
    });
    (packet_id(), subscription_ids(), user_properties(), vec(request, 1..40)).prop_map(
        move |(packet_id, ids, user_properties, filters)| {
            let is_v5 = version == Version::V5;
            let subscription_id = ids.first().copied().filter(|_| is_v5);
            let user_properties = if is_v5 { user_properties } else { Default::default() };
            Subscribe { packet_id, subscription_id, user_properties, filters }
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    (packet_id(), user_properties(), vec(subscription(), 1..40)).prop_map(
        move |(packet_id, user_properties, filters)| {
            let is_v5 = version == Version::V5;
            let user_properties = if is_v5 { user_properties } else { Default::default() };
            Unsubscribe { packet_id, user_properties, filters }
        },
    )
}

fn disconnect(version: Version, sender: Sender) -> impl Strategy<Value = Disconnect> {
    let reason = reason(version, PacketType::Disconnect, sender);
    (reason, option::of(any::<u32>()), option::of(text()), spoken(version)).prop_map(
        move |(reason, expiry, reference, remarks)| {
            let is_v5 = version == Version::V5;
            Disconnect {
                reason,
                session_expiry_s: expiry.filter(|_| is_v5 && sender == Sender::Client),
                server_reference: reference.filter(|_| is_v5 && sender == Sender::Server),
                remarks,
            }
        },
    )
}

fn auth(sender: Sender) -> impl Strategy<Value = Auth> {
    (reason(Version::V5, PacketType::Auth, sender), authentication(), remarks())
        .prop_map(|(reason, authentication, remarks)| Auth { reason, authentication, remarks })
}

pub(crate) fn from_client(version: Version) -> BoxedStrategy<FromClient> {
    let sender = Sender::Client;
    let ack = |packet| ack(version, packet, sender);
    let all = prop_oneof![
        4 => publish(version, sender).prop_map(FromClient::Publish),
        1 => ack(PacketType::Puback).prop_map(FromClient::Puback),
        1 => ack(PacketType::Pubrec).prop_map(FromClient::Pubrec),
        1 => ack(PacketType::Pubrel).prop_map(FromClient::Pubrel),
        1 => ack(PacketType::Pubcomp).prop_map(FromClient::Pubcomp),
        2 => subscribe(version).prop_map(FromClient::Subscribe),
        1 => unsubscribe(version).prop_map(FromClient::Unsubscribe),
        1 => Just(FromClient::Pingreq),
        1 => disconnect(version, sender).prop_map(FromClient::Disconnect),
    ];
    match version {
        Version::V5 => prop_oneof![12 => all, 1 => auth(sender).prop_map(FromClient::Auth)].boxed(),
        Version::V31 | Version::V311 => all.boxed(),
    }
}

fn announcement() -> impl Strategy<Value = Announcement> {
    let numbers = (option::of(any::<u32>()), 1..=u16::MAX, any::<bool>(), 1..=u32::MAX);
    let texts = (option::of(text()), option::of(text()), option::of(text()));
    let flags = any::<[bool; 4]>();
    let rest = (any::<u16>(), option::of(any::<u16>()), option::of(authentication()));
    (numbers, texts, flags, rest).prop_map(|(numbers, texts, flags, rest)| Announcement {
        session_expiry_s: numbers.0,
        receive_maximum: numbers.1,
        maximum_qos: if numbers.2 { Qos::ExactlyOnce } else { Qos::AtLeastOnce },
        retain_available: flags[0],
        packet_bytes_max: numbers.3,
        assigned_client_id: texts.0,
        topic_alias_maximum: rest.0,
        wildcards_available: flags[1],
        subscription_ids_available: flags[2],
        shared_available: flags[3],
        server_keep_alive_s: rest.1,
        response_information: texts.1,
        server_reference: texts.2,
        authentication: rest.2,
    })
}

fn connack(version: Version) -> BoxedStrategy<Connack> {
    let old = [0, 0x84, 0x85, 0x86, 0x87, 0x88].map(Reason);
    let reason = match version {
        Version::V5 => reason(version, PacketType::Connack, Sender::Server).boxed(),
        Version::V31 | Version::V311 => select(old.to_vec()).boxed(),
    };
    (any::<bool>(), reason, announcement(), spoken(version))
        .prop_map(move |(present, reason, announcement, remarks)| Connack {
            session_present: present && reason == Reason::SUCCESS && version != Version::V31,
            reason,
            announcement: if version == Version::V5 { announcement } else { Default::default() },
            remarks,
        })
        .boxed()
}

fn suback(version: Version) -> impl Strategy<Value = Suback> {
    let reason = match version {
        Version::V5 => reason(version, PacketType::Suback, Sender::Server).boxed(),
        Version::V31 | Version::V311 => select([0, 1, 2, 0x80].map(Reason).to_vec()).boxed(),
    };
    (packet_id(), vec(reason, 1..300), spoken(version))
        .prop_map(|(packet_id, reasons, remarks)| Suback { packet_id, reasons, remarks })
}

fn unsuback(version: Version) -> impl Strategy<Value = Unsuback> {
    let reason = reason(Version::V5, PacketType::Unsuback, Sender::Server);
    (packet_id(), vec(reason, 1..300), spoken(version)).prop_map(
        move |(packet_id, reasons, remarks)| {
            let reasons = if version == Version::V5 { reasons } else { Vec::new() };
            Unsuback { packet_id, reasons, remarks }
        },
    )
}

pub(crate) fn from_server(version: Version) -> BoxedStrategy<FromServer> {
    let sender = Sender::Server;
    let ack = |packet| ack(version, packet, sender);
    let all = prop_oneof![
        2 => connack(version).prop_map(FromServer::Connack),
        3 => publish(version, sender).prop_map(FromServer::Publish),
        1 => ack(PacketType::Puback).prop_map(FromServer::Puback),
        1 => ack(PacketType::Pubrec).prop_map(FromServer::Pubrec),
        1 => ack(PacketType::Pubrel).prop_map(FromServer::Pubrel),
        1 => ack(PacketType::Pubcomp).prop_map(FromServer::Pubcomp),
        1 => suback(version).prop_map(FromServer::Suback),
        1 => unsuback(version).prop_map(FromServer::Unsuback),
        1 => Just(FromServer::Pingresp),
    ];
    match version {
        Version::V5 => prop_oneof![
            10 => all,
            1 => disconnect(version, sender).prop_map(FromServer::Disconnect),
            1 => auth(sender).prop_map(FromServer::Auth),
        ]
        .boxed(),
        Version::V31 | Version::V311 => all.boxed(),
    }
}
