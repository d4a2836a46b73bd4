//! A bench whose sessions are ha-server's, and what goes up and down for them.

use std::sync::Arc;

use broker_core::host::{HostCommand, HostEvent};
use broker_core::{Config, HeldBy, Input, Output};
use ha_types::link::{Downstream, Upstream};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Granted, Lifetime, Offset, Open, Opened, PacketId, PageEnd,
    Progress, Queued, RetainHandling, SessionEpoch, SessionKey, Start, SubscribeOptions, Tell,
};
use ha_types::{AskNumber, Qos, SessionId, Ticket};

use crate::common::{Bench, Outputs, Publish, config, message, subscription, welcome};

pub(super) fn clustered() -> Config {
    Config { sessions: HeldBy::Cluster, ..config() }
}

pub(super) fn attached() -> Bench {
    let mut bench = Bench::new(clustered());
    bench.attach_again(welcome());
    bench
}

/// The session that connection `n` gets here.
pub(super) fn key(n: u64) -> SessionKey {
    SessionKey { id: SessionId(n), epoch: SessionEpoch(1) }
}

pub(super) fn packet_id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

pub(super) fn open(n: u64, lifetime: Lifetime) -> Ask {
    Ask::Open(Open {
        connection: ConnectionId(n),
        client_id: Arc::from(format!("client {n}")),
        start: Start::Resume,
        lifetime,
        will: None,
        receive_maximum: 10,
    })
}

pub(super) fn opened(n: u64) -> Opened {
    Opened {
        connection: ConnectionId(n),
        session: key(n),
        is_present: false,
        subscriptions: vec![],
        inbound: vec![],
        records: vec![],
        backlog: PageEnd::Live(Offset::new(5)),
    }
}

pub(super) fn options(filter: &str) -> SubscribeOptions {
    SubscribeOptions {
        subscription: subscription(filter),
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::AtSubscribe,
        subscription_id: None,
    }
}

pub(super) fn subscribe(n: u64, ticket: u64, filter: &str) -> Ask {
    let subscriptions = vec![options(filter)];
    Ask::Subscribe { session: key(n), ticket: Ticket(ticket), subscriptions }
}

pub(super) fn subscribed(n: u64, ticket: u64) -> Tell {
    let granted = Granted { qos: Qos::AtLeastOnce, retained: vec![], unqueued: vec![] };
    Tell::Subscribed { session: key(n), ticket: Ticket(ticket), granted: vec![Ok(granted)] }
}

pub(super) fn acknowledge(n: u64, offset: u64) -> Ask {
    let progress = Progress { acknowledged: vec![Offset::new(offset)], ..Progress::default() };
    Ask::Progress { session: key(n), progress }
}

pub(super) fn close(n: u64) -> Ask {
    let (cause, progress) = (CloseCause::Disconnect, Progress::default());
    Ask::Close { session: key(n), cause, progress, lifetime: None }
}

pub(super) fn queued(n: u64, offset: u64) -> Tell {
    let queued = Queued {
        offset: Offset::new(offset),
        message: message("t", "x"),
        qos: Qos::AtLeastOnce,
        retain: false,
        subscription_ids: vec![],
        record: None,
    };
    Tell::Deliver { session: key(n), queued }
}

impl Publish {
    pub(super) fn of(mut self, n: u64, id: u16) -> Self {
        self.0.exchange = Some((key(n), packet_id(id)));
        self.0.session = SessionId(n);
        self
    }

    pub(super) fn qos_2(mut self) -> Self {
        self.0.qos = Qos::ExactlyOnce;
        self
    }
}

impl Bench {
    pub(super) fn ask(&mut self, ask: Ask) -> Outputs {
        self.step(Input::Host(HostEvent::Ask(ask)))
    }

    pub(super) fn tell(&mut self, n: u64, tell: Tell) -> Outputs {
        self.receive(Downstream::Tell { connection: ConnectionId(n), tell })
    }

    pub(super) fn asked(&mut self, upto: u64) -> Outputs {
        self.receive(Downstream::Asked { upto: AskNumber(upto) })
    }

    /// A connection with a session, whose CONNECT is done as the first `upto` asks.
    pub(super) fn serve(&mut self, n: u64, lifetime: Lifetime, upto: u64) {
        self.ask(open(n, lifetime));
        self.tell(n, Tell::Opened(opened(n)));
        self.asked(upto);
    }
}

impl Outputs {
    /// What goes up, in words: `+` and `-` for interest, with `0` where it is of QoS 0.
    pub(super) fn up(&self) -> Vec<String> {
        self.sent().into_iter().map(shown).collect()
    }

    /// What the engines are told.
    pub(super) fn told(&self) -> Vec<(u64, &Tell)> {
        let tell = |output| match output {
            &Output::Host(HostCommand::Tell(ConnectionId(n), ref tell)) => Some((n, tell)),
            _ => None,
        };
        self.0.iter().filter_map(tell).collect()
    }
}

fn shown(item: &Upstream) -> String {
    let words = |filters: &[ha_types::TopicFilter]| {
        filters.iter().map(|filter| filter.as_str()).collect::<Vec<_>>().join(" ")
    };
    match item {
        Upstream::Hello(_) => "hello".into(),
        Upstream::Publish { number, message, exchange } => {
            let number = number.map_or(0, |number| number.0);
            let mark = if exchange.is_some() { "!" } else { "" };
            format!("publish {number} {}{mark}", String::from_utf8_lossy(&message.payload))
        }
        Upstream::Ask { number, ask } => format!("ask {number} {}", shown_ask(ask)),
        Upstream::Resume(resume) => {
            let given = resume.given_upto.map_or(0, |offset| offset.message);
            format!("resume {} {given}", resume.connection.0)
        }
        Upstream::Resumed => "resumed".into(),
        Upstream::Received { count } => format!("received {count}"),
        Upstream::Announce { needs: ha_types::link::Needs::All, filters, .. } => {
            format!("+{}", words(filters))
        }
        Upstream::Announce { filters, .. } => format!("+0 {}", words(filters)),
        Upstream::Withdraw { filters } => format!("-{}", words(filters)),
        Upstream::Leave => "leave".into(),
    }
}

fn shown_ask(ask: &Ask) -> String {
    match ask {
        Ask::Open(open) => format!("open {}", open.connection.0),
        Ask::Claim { open, .. } => format!("claim {}", open.connection.0),
        Ask::Subscribe { session, subscriptions, .. } => {
            let filters = subscriptions.iter().map(|of| format!(" {}", of.subscription.filter()));
            format!("subscribe {}{}", session.id, filters.skip(1).collect::<String>())
        }
        Ask::Unsubscribe { session, .. } => format!("unsubscribe {}", session.id),
        Ask::Publish { .. } => "publish".into(),
        Ask::Release { session, .. } => format!("release {}", session.id),
        Ask::Fetch { session, .. } => format!("fetch {}", session.id),
        Ask::Progress { session, progress } => {
            format!("progress {} {}", session.id, progress.acknowledged.len())
        }
        Ask::Close { session, cause, .. } => format!("close {} {cause:?}", session.id),
    }
}
