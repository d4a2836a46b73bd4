//! Any value that a core may send.

use std::sync::Arc;

use bytes::Bytes;
use ha_types::link::{
    Downstream, Goodbye, GoodbyeReason, Hello, KNOWN_AS_MAX, Needs, Origin, PublishOutcome, Resume,
    RetainedChange, RetainedUse, Upstream, VersionRange, Welcome,
};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Eviction, Granted, Lifetime, NewWill, Offset, Open, Opened,
    PacketId, Page, PageEnd, Progress, Queued, Record, RecordStage, RefuseReason, Refused,
    RetainHandling, SessionEpoch, SessionKey, Start, SubscribeOptions, SubscriptionId, Tell,
    Unqueued,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
    Publisher, Qos, RetainedVersion, ServerIncarnation, SessionId, Subscription, Ticket,
    TopicFilter, TopicName,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn qos() -> impl Strategy<Value = Qos> {
    select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

fn topic() -> impl Strategy<Value = TopicName> {
    "[a-zé]{1,4}(/[a-z]{0,3}){0,3}"
        .prop_map(|text| TopicName::parse(Bytes::from(text.into_bytes())).unwrap())
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    "([a-zé]{1,4}|\\+)(/[a-z]{0,3}|/\\+){0,3}(/#)?"
        .prop_map(|text| TopicFilter::parse(text.as_bytes()).unwrap())
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let shared = ("[a-z$]{1,5}", filter()).prop_map(|(name, filter)| {
        Subscription::parse(format!("$share/{name}/{}", filter.as_str()).as_bytes()).unwrap()
    });
    prop_oneof![filter().prop_map(Subscription::Plain), shared]
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        20 => (0..2_000usize).prop_map(super::payload),
        1 => (200_000..900_000usize).prop_map(super::payload),
    ]
}

prop_compose! {
    fn message()(
        (topic, payload, properties) in (topic(), payload(), vec(any::<u8>(), 0..40)),
        (qos, retain, expires_at) in (qos(), any::<bool>(), of(1..u64::MAX)),
        (session, epoch) in (any::<u64>(), any::<u64>()),
    ) -> Arc<Message> {
        let publisher = Publisher { session: SessionId(session), epoch: BrokerEpoch(epoch) };
        let properties = properties.into();
        let expires_at = expires_at.map(ClusterMillis);
        Arc::new(Message { topic, payload, properties, qos, retain, expires_at, publisher })
    }
}

prop_compose! {
    fn key()(id in 1..u64::MAX, epoch in any::<u64>()) -> SessionKey {
        SessionKey { id: SessionId(id), epoch: SessionEpoch(epoch) }
    }
}

prop_compose! {
    fn offset()(message in any::<u64>(), private in any::<u32>()) -> Offset {
        Offset { message, private }
    }
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    (1..=268_435_455u32).prop_map(|id| SubscriptionId::new(id).unwrap())
}

prop_compose! {
    fn queued()(
        (offset, message, qos, retain) in (offset(), message(), qos(), any::<bool>()),
        (subscription_ids, record) in (vec(subscription_id(), 0..3), of(packet_id())),
    ) -> Queued {
        Queued { offset, message, qos, retain, subscription_ids, record }
    }
}

prop_compose! {
    fn options()(
        (subscription, qos, no_local) in (subscription(), qos(), any::<bool>()),
        retain_as_published in any::<bool>(),
        retain_handling in select(vec![
            RetainHandling::AtSubscribe, RetainHandling::IfNew, RetainHandling::Never,
        ]),
        subscription_id in of(subscription_id()),
    ) -> SubscribeOptions {
        SubscribeOptions {
            subscription, qos, no_local, retain_as_published, retain_handling, subscription_id,
        }
    }
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    any::<u32>().prop_map(Lifetime::from_expiry_interval)
}

fn refused() -> impl Strategy<Value = Refused> {
    prop_oneof![offset().prop_map(Refused::Offset), packet_id().prop_map(Refused::Record)]
}

prop_compose! {
    fn progress()(
        (acknowledged, received) in (vec(offset(), 0..5), vec(packet_id(), 0..5)),
        (completed, refused) in (vec(packet_id(), 0..5), vec(refused(), 0..5)),
        passed_over in vec(offset(), 0..5),
    ) -> Progress {
        Progress { acknowledged, received, completed, refused, passed_over }
    }
}

prop_compose! {
    fn will()(
        message in message(), expires_in_s in of(any::<u32>()), delay_s in any::<u32>(),
    ) -> NewWill {
        NewWill { message, expires_in_s, delay_s }
    }
}

prop_compose! {
    fn open()(
        (connection, client_id) in (any::<u64>().prop_map(ConnectionId), "[a-zé]{1,30}"),
        (start, lifetime) in (select(vec![Start::Clean, Start::Resume]), lifetime()),
        (will, receive_maximum) in (of(will()), 1..=u16::MAX),
    ) -> Open {
        Open { connection, client_id: client_id.into(), start, lifetime, will, receive_maximum }
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let ticket = || any::<u64>().prop_map(Ticket);
    let cause = || select(vec![CloseCause::Disconnect, CloseCause::Failure, CloseCause::Handover]);
    prop_oneof![
        open().prop_map(Ask::Open),
        (open(), any::<u64>()).prop_map(|(open, seen)| Ask::Claim { open, seen }),
        (key(), ticket(), vec(options(), 0..6)).prop_map(|(session, ticket, subscriptions)| {
            Ask::Subscribe { session, ticket, subscriptions }
        }),
        (key(), ticket(), vec(subscription(), 0..6)).prop_map(
            |(session, ticket, subscriptions)| Ask::Unsubscribe { session, ticket, subscriptions }
        ),
        (key(), packet_id()).prop_map(|(session, packet_id)| Ask::Release { session, packet_id }),
        (key(), of(offset()), 1..=usize::MAX, any::<usize>()).prop_map(
            |(session, after, messages_max, bytes_max)| Ask::Fetch {
                session,
                after,
                messages_max,
                bytes_max
            }
        ),
        (key(), progress()).prop_map(|(session, progress)| Ask::Progress { session, progress }),
        (key(), cause(), progress(), of(lifetime())).prop_map(
            |(session, cause, progress, lifetime)| Ask::Close {
                session,
                cause,
                progress,
                lifetime
            }
        ),
    ]
}

prop_compose! {
    fn hello()(
        (min, max) in (any::<u32>(), any::<u32>()),
        (name, software) in ("[a-z]{1,64}", "[a-z]{0,128}"),
        incarnation in any::<u64>(),
        retained in select(vec![RetainedUse::Copy, RetainedUse::None]),
    ) -> Hello {
        Hello {
            versions: VersionRange { min, max },
            name: BrokerName::parse(&name).unwrap(),
            incarnation: Incarnation(incarnation),
            software,
            retained,
        }
    }
}

prop_compose! {
    fn resume()(
        (session, connection) in (key(), any::<u64>().prop_map(ConnectionId)),
        (receive_maximum, given_upto) in (1..=u16::MAX, of(offset())),
    ) -> Resume {
        Resume { session, connection, receive_maximum, given_upto }
    }
}

fn publish() -> impl Strategy<Value = Upstream> {
    let exchange = of((key(), packet_id()));
    (of(1..u64::MAX), exchange, message()).prop_map(|(number, exchange, message)| {
        let has_exchange = number.is_some() && message.qos > Qos::AtMostOnce;
        let exchange = exchange.filter(|_| has_exchange);
        Upstream::Publish { number: number.map(PublishNumber), exchange, message }
    })
}

pub(crate) fn upstream() -> impl Strategy<Value = Upstream> {
    let announce = (any::<u64>(), select(vec![Needs::All, Needs::AtMostOnce]), vec(filter(), 0..9))
        .prop_map(|(ticket, needs, filters)| Upstream::Announce {
            ticket: Ticket(ticket),
            needs,
            filters,
        });
    prop_oneof![
        2 => hello().prop_map(Upstream::Hello),
        3 => publish(),
        9 => (1..u64::MAX, ask())
            .prop_map(|(number, ask)| Upstream::Ask { number: AskNumber(number), ask }),
        1 => resume().prop_map(Upstream::Resume),
        1 => Just(Upstream::Resumed),
        1 => any::<u64>().prop_map(|count| Upstream::Received { count }),
        1 => announce,
        1 => vec(filter(), 0..9).prop_map(|filters| Upstream::Withdraw { filters }),
        1 => Just(Upstream::Leave),
    ]
}

fn reason() -> impl Strategy<Value = RefuseReason> {
    select(vec![
        RefuseReason::QuotaExceeded,
        RefuseReason::Unavailable,
        RefuseReason::NotAuthorized,
        RefuseReason::SharedNotSupported,
    ])
}

fn granted() -> impl Strategy<Value = Result<Granted, RefuseReason>> {
    let unqueued = (message(), qos(), of(subscription_id()))
        .prop_map(|(message, qos, subscription_id)| Unqueued { message, qos, subscription_id });
    let granted = (qos(), vec(queued(), 0..3), vec(unqueued, 0..3))
        .prop_map(|(qos, retained, unqueued)| Granted { qos, retained, unqueued });
    prop_oneof![3 => granted.prop_map(Ok), 1 => reason().prop_map(Err)]
}

fn record() -> impl Strategy<Value = Record> {
    let stage = prop_oneof![queued().prop_map(RecordStage::Sent), Just(RecordStage::Received)];
    (packet_id(), stage).prop_map(|(packet_id, stage)| Record { packet_id, stage })
}

fn page_end() -> impl Strategy<Value = PageEnd> {
    prop_oneof![offset().prop_map(PageEnd::More), offset().prop_map(PageEnd::Live)]
}

prop_compose! {
    fn opened()(
        (connection, session, is_present) in (any::<u64>(), key(), any::<bool>()),
        (subscriptions, inbound) in (vec(options(), 0..5), vec(packet_id(), 0..5)),
        (records, backlog) in (vec(record(), 0..5), page_end()),
    ) -> Opened {
        let connection = ConnectionId(connection);
        Opened { connection, session, is_present, subscriptions, inbound, records, backlog }
    }
}

fn tell() -> impl Strategy<Value = (ConnectionId, Tell)> {
    let ticket = || any::<u64>().prop_map(Ticket);
    let packet_ids = || vec(packet_id(), 0..5);
    let page = (vec(queued(), 0..5), page_end()).prop_map(|(messages, end)| Page { messages, end });
    let of_open = prop_oneof![
        opened().prop_map(|opened| (opened.connection, Tell::Opened(opened))),
        (any::<u64>().prop_map(ConnectionId), reason()).prop_map(|(connection, reason)| (
            connection,
            Tell::OpenRefused { connection, reason }
        )),
    ];
    let others = prop_oneof![
        (key(), ticket(), vec(granted(), 0..4))
            .prop_map(|(session, ticket, granted)| Tell::Subscribed { session, ticket, granted }),
        (key(), ticket(), vec(any::<bool>(), 0..4)).prop_map(|(session, ticket, existed)| {
            Tell::Unsubscribed { session, ticket, existed }
        }),
        (key(), packet_id()).prop_map(|(session, packet_id)| Tell::Released { session, packet_id }),
        (key(), queued()).prop_map(|(session, queued)| Tell::Deliver { session, queued }),
        (key(), page).prop_map(|(session, page)| Tell::Page { session, page }),
        (key(), packet_ids(), packet_ids(), vec(offset(), 0..4)).prop_map(
            |(session, received, completed, passed_over)| {
                Tell::Recorded { session, received, completed, passed_over }
            }
        ),
        (key(), eviction()).prop_map(|(session, why)| Tell::Evict { session, why }),
        key().prop_map(|session| Tell::Fenced { session }),
    ];
    prop_oneof![1 => of_open, 4 => (any::<u64>().prop_map(ConnectionId), others)]
}

prop_compose! {
    fn welcome()(
        (version, publish_window, software) in (any::<u32>(), any::<u32>(), "[a-z]{0,128}"),
        (epoch, server, lease_ms) in (any::<u64>(), any::<u64>(), any::<u64>()),
        (heartbeat_ms, taken, asked, now) in any::<(u64, u64, u64, u64)>(),
    ) -> Welcome {
        Welcome {
            version,
            epoch: BrokerEpoch(epoch),
            server: ServerIncarnation(server),
            lease_ms,
            heartbeat_ms,
            taken_upto: PublishNumber(taken),
            asked_upto: AskNumber(asked),
            publish_window,
            cluster_time: ClusterMillis(now),
            software,
        }
    }
}

fn goodbye() -> impl Strategy<Value = Goodbye> {
    let reasons = vec![
        GoodbyeReason::ShuttingDown,
        GoodbyeReason::UnsupportedVersion,
        GoodbyeReason::NameInUse,
        GoodbyeReason::TooManyBrokers,
        GoodbyeReason::LeaseExpired,
        GoodbyeReason::Replaced,
        GoodbyeReason::ProtocolError,
        GoodbyeReason::NotLeader,
        GoodbyeReason::TooSlow,
    ];
    (select(reasons), "[a-zé]{0,512}", of("[a-z]{1,200}:[0-9]{1,5}"))
        .prop_map(|(reason, detail, leader)| Goodbye { reason, detail, leader })
}

fn result() -> impl Strategy<Value = Downstream> {
    let outcomes = vec![
        PublishOutcome::Accepted,
        PublishOutcome::Repeat,
        PublishOutcome::RetainedFull,
        PublishOutcome::QuotaExceeded,
        PublishOutcome::Fenced,
    ];
    (1..u64::MAX, select(outcomes), any::<u64>()).prop_map(|(number, outcome, retained)| {
        let (number, retained) = (PublishNumber(number), RetainedVersion(retained));
        Downstream::PublishResult { number, outcome, retained }
    })
}

pub(crate) fn downstream() -> impl Strategy<Value = Downstream> {
    let version = || any::<u64>().prop_map(RetainedVersion);
    let origin = || {
        (1..u64::MAX, 1..u64::MAX).prop_map(|(broker, number)| Origin {
            broker: BrokerEpoch(broker),
            number: PublishNumber(number),
        })
    };
    let origins = of((origin(), vec(origin(), 0..=KNOWN_AS_MAX)));
    let deliver = (origins, message(), version()).prop_map(|(origins, message, retained)| {
        let (origin, known_as) = origins.unzip();
        let known_as = known_as.unwrap_or_default();
        Downstream::Deliver { origin, known_as, message, retained }
    });
    let set = (message(), version()).prop_map(|(message, version)| RetainedChange {
        topic: message.topic.clone(),
        version,
        message: Some(message),
    });
    let cleared = (topic(), version()).prop_map(|(topic, version)| RetainedChange {
        topic,
        version,
        message: None,
    });
    prop_oneof![
        1 => welcome().prop_map(Downstream::Welcome),
        2 => result(),
        9 => tell().prop_map(|(connection, tell)| Downstream::Tell { connection, tell }),
        1 => any::<u64>().prop_map(|upto| Downstream::Asked { upto: AskNumber(upto) }),
        1 => any::<u64>()
            .prop_map(|ticket| Downstream::InterestTaken { ticket: Ticket(ticket) }),
        3 => deliver,
        1 => prop_oneof![set, cleared].prop_map(Downstream::RetainedUpdate),
        1 => Just(Downstream::RetainedBegin),
        1 => version().prop_map(|version| Downstream::RetainedSynced { version }),
        1 => of(1..=u32::MAX).prop_map(|per_second| Downstream::Drain { per_second }),
        1 => Just(Downstream::Undrain),
        1 => goodbye().prop_map(Downstream::Goodbye),
    ]
}

fn eviction() -> impl Strategy<Value = Eviction> {
    select(vec![Eviction::TakenOver, Eviction::Kicked, Eviction::Forgotten])
}
