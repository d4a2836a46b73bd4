//! From an accepted socket to a connected session, or to a refusal.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::inflow::routable;
use super::socket::Socket;
use crate::codec::connect::{self, Connect, ConnectError, Will};
use crate::codec::encode::{self, Announcement, SessionPresent};
use crate::codec::{Reason, Version};
use crate::effects::Job;
use crate::registry::{Claim, Claimed, Generation, NotClaimed, Release, Session};
use crate::router::link::{LinkPlan, Opened};
use crate::shared::{Ending, Kick, Shared};

/// How long a newer connection waits for the older one of its client id to end.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Newer connections of one client id that may be faster than this one, before it gives up.
const TAKEOVER_ATTEMPTS: usize = 8;

/// What rumqttd itself refuses in client ids, kept although it never sees them, so that a client
/// id that works here works with any rumqttd.
const CLIENT_ID_FORBIDDEN: [char; 4] = ['+', '$', '#', '/'];

/// A client that has its CONNACK in the output buffer.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) connect: Connect,
    pub(crate) client_id: Arc<str>,
    pub(crate) generation: Generation,
    pub(crate) session: Session,
    pub(crate) plan: LinkPlan,
    pub(crate) opened: Opened,
    pub(crate) kicked: watch::Receiver<Option<Ending>>,
}

/// Why there is no connection. The answer, if any, is in the output buffer.
#[derive(Debug)]
pub(crate) struct Refused;

/// Reads CONNECT, checks it and takes the client id.
pub(crate) async fn shake(shared: &Shared, socket: &mut Socket) -> Result<Connected, Refused> {
    let reading = timeout(shared.config.connect_timeout, read_connect(shared, socket));
    let connect = reading.await.unwrap_or(Err(Refused))?;
    let version = connect.version;
    match admit(shared, connect).await {
        Ok((connected, assigned)) => {
            answer(shared, socket, &connected, assigned);
            Ok(connected)
        }
        Err(reason) => {
            encode::connack_refusal(&mut socket.to_client.bytes, version, reason);
            Err(Refused)
        }
    }
}

async fn read_connect(shared: &Shared, socket: &mut Socket) -> Result<Connect, Refused> {
    let frame = loop {
        match socket.from_client.next_frame(shared.config.packet_bytes_max) {
            Ok(Some(frame)) => break frame,
            Ok(None) => (),
            Err(_) => return Err(Refused),
        }
        if !matches!(socket.from_client.fill().await, Ok(1..)) {
            return Err(Refused);
        }
    };
    connect::decode(frame).map_err(|error| {
        if let ConnectError::Refused { version, reason } = error {
            encode::connack_refusal(&mut socket.to_client.bytes, version, reason);
        }
        Refused
    })
}

/// Whether the client got its id from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientId {
    Chosen,
    Assigned,
}

async fn admit(shared: &Shared, connect: Connect) -> Result<(Connected, ClientId), Reason> {
    let (client_id, assigned) = client_id(&connect)?;
    if let Some(will) = &connect.will {
        routable(&will.topic).map_err(|_| Reason::TOPIC_NAME_INVALID)?;
    }
    let claim = Claim {
        client_id: Arc::clone(&client_id),
        clean_start: connect.clean_start,
        session_expiry_s: connect.session_expiry_s,
    };
    let (kick, kicked) = watch::channel(None);
    let claimed = take_over(shared, &claim, Arc::new(kick)).await?;
    let Claimed { generation, session, plan, effects } = claimed;
    for effect in effects {
        // The task ends after the last connection.
        let _ = shared.jobs.send(Job::Effect(effect)).await;
    }
    let Ok(opened) = shared.links.open(&session.slot.to_string(), plan).await else {
        give_back(shared, claim, generation, session).await;
        return Err(Reason::SERVER_UNAVAILABLE);
    };
    let connected = Connected { connect, client_id, generation, session, plan, opened, kicked };
    Ok((connected, assigned))
}

/// [MQTT-3.1.3-6], [MQTT-3.1.3-8]; 3.1.1 [MQTT-3.1.3-7]
fn client_id(connect: &Connect) -> Result<(Arc<str>, ClientId), Reason> {
    if connect.client_id.contains(CLIENT_ID_FORBIDDEN) {
        return Err(Reason::CLIENT_ID_NOT_VALID);
    }
    if !connect.client_id.is_empty() {
        return Ok((connect.client_id.as_str().into(), ClientId::Chosen));
    }
    if connect.version == Version::V311 && !connect.clean_start {
        return Err(Reason::CLIENT_ID_NOT_VALID);
    }
    // Keys of the hasher are random: 128 bits that nobody guesses and nobody gets twice.
    let random = || RandomState::new().build_hasher().finish();
    Ok((format!("auto-{:016x}{:016x}", random(), random()).into(), ClientId::Assigned))
}

/// Takes the client id, from an older connection if there is one.
async fn take_over(shared: &Shared, claim: &Claim, kick: Kick) -> Result<Claimed, Reason> {
    for _ in 0..TAKEOVER_ATTEMPTS {
        let claimed = shared.registry().claim(shared.now(), claim, Arc::clone(&kick));
        let older = match claimed {
            Ok(claimed) => return Ok(claimed),
            Err(NotClaimed::Busy) => return Err(Reason::SERVER_BUSY),
            Err(NotClaimed::QuotaExceeded) => return Err(Reason::QUOTA_EXCEEDED),
            Err(NotClaimed::Occupied(older)) => older,
        };
        older.send_replace(Some(Ending::TakenOver));
        if timeout(TAKEOVER_TIMEOUT, older.closed()).await.is_err() {
            return Err(Reason::SERVER_UNAVAILABLE);
        }
    }
    Err(Reason::SERVER_UNAVAILABLE)
}

/// Without a router this host is at its end; the registry stays consistent all the same.
async fn give_back(shared: &Shared, claim: Claim, generation: Generation, session: Session) {
    let release = Release {
        client_id: claim.client_id,
        generation,
        session,
        session_expiry_s: claim.session_expiry_s,
        will: None,
    };
    let effects = shared.registry().release(shared.now(), release);
    for effect in effects {
        let _ = shared.jobs.send(Job::Effect(effect)).await;
    }
}

fn answer(shared: &Shared, socket: &mut Socket, connected: &Connected, assigned: ClientId) {
    let present = match connected.plan {
        LinkPlan::Resume => SessionPresent::Yes,
        LinkPlan::Ephemeral | LinkPlan::NewDurable => SessionPresent::No,
    };
    let announcement = Announcement {
        receive_maximum: shared.config.receive_maximum,
        packet_bytes_max: u32::try_from(shared.config.packet_bytes_max).unwrap_or(u32::MAX),
        topic_alias_maximum: shared.config.topic_aliases_max,
        assigned_client_id: (assigned == ClientId::Assigned).then_some(&*connected.client_id),
    };
    let version = connected.connect.version;
    encode::connack(&mut socket.to_client.bytes, version, present, &announcement);
}

/// The will of a CONNECT, kept until the connection ends.
pub(crate) fn take_will(connect: &mut Connect) -> Option<Box<Will>> {
    connect.will.take().map(Box::new)
}
