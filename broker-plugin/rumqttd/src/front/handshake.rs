//! From an accepted connection to a connected session, or to a refusal.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use broker_core::access::{Action, Identity};
use broker_core::codec::{
    Announcement, Connack, Connect, ConnectError, FromServer, Reason, Recipient, Remarks, Text,
    TooLarge, Version, Will,
};
use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::timeout;

use super::entrance::Phase;
use super::inflow::{is_reserved, routable};
use super::serve::Stream;
use super::socket::Socket;
use crate::admission::{Credentials, Origin, Verdict};
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
    pub(crate) identity: Identity,
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
pub(crate) async fn shake(
    shared: &Shared,
    socket: &mut Socket<impl Stream>,
    origin: Origin,
) -> Result<Connected, Refused> {
    let reading = timeout(shared.config.connect_timeout, read_connect(shared, socket));
    let connect = reading.await.unwrap_or(Err(Refused))?;
    let recipient = connect.recipient();
    let (connack, connected) = match connect_session(shared, connect, origin).await {
        Ok((connack, connected)) => (connack, Ok(connected)),
        Err(reason) => (Connack::refusal(reason, Remarks::default()), Err(Refused)),
    };
    // Only a refusal can be too large for the client here: then it is closed without one.
    let _ = write_connack(connack, &recipient, &mut socket.to_client.bytes);
    connected
}

async fn read_connect(
    shared: &Shared,
    socket: &mut Socket<impl Stream>,
) -> Result<Connect, Refused> {
    let frame = loop {
        match socket.next_frame(shared.config.packet_bytes_max) {
            Ok(Some(frame)) => break frame,
            Ok(None) => (),
            Err(_) => return Err(Refused),
        }
        if !matches!(socket.fill().await, Ok(1..)) {
            return Err(Refused);
        }
    };
    Connect::decode(&frame).map_err(|error| {
        if let ConnectError::Refused { version, error } = error {
            let connack = Connack::refusal(error.reason(), Remarks::default());
            let recipient = Recipient::any(version);
            let _ = write_connack(connack, &recipient, &mut socket.to_client.bytes);
        }
        Refused
    })
}

fn write_connack(
    connack: Connack,
    recipient: &Recipient,
    out: &mut BytesMut,
) -> Result<(), TooLarge> {
    FromServer::Connack(connack).encode(recipient, out)
}

/// Whether the client got its id from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientId {
    Chosen,
    Assigned,
}

async fn connect_session(
    shared: &Shared,
    connect: Connect,
    origin: Origin,
) -> Result<(Connack, Connected), Reason> {
    if connect.authentication.is_some() {
        return Err(Reason::BAD_AUTHENTICATION_METHOD);
    }
    let (client_id, assigned) = client_id(&connect)?;
    if let Some(will) = &connect.will {
        check_will_topic(connect.version, will)?;
    }
    let mut connack = connack(shared, &connect, (&client_id, assigned))?;
    let identity = admit(shared, &connect, &client_id, origin).await?;
    let connected = open(shared, connect, client_id, identity).await?;
    connack.session_present = connected.plan == LinkPlan::Resume;
    Ok((connack, connected))
}

/// A will that may not be published is refused before there is a session.
fn check_will_topic(version: Version, will: &Will) -> Result<(), Reason> {
    match routable(&will.topic) {
        _ if is_reserved(&will.topic) => Err(Reason::NOT_AUTHORIZED),
        Ok(()) => Ok(()),
        Err(_) if version.has_properties() => Err(Reason::TOPIC_NAME_INVALID),
        // Before 5.0 the nearest that CONNACK can say.
        Err(_) => Err(Reason::NOT_AUTHORIZED),
    }
}

/// Who the client is, when it may come in with this will.
async fn admit(
    shared: &Shared,
    connect: &Connect,
    client_id: &Arc<str>,
    origin: Origin,
) -> Result<Identity, Reason> {
    let credentials = Credentials {
        client_id: Arc::clone(client_id),
        user_name: connect.user_name.as_ref().map(|name| name.as_str().into()),
        password: connect.password.as_ref().map(|password| password.as_bytes().clone()),
        origin,
    };
    let judging = timeout(shared.config.admit_timeout, shared.admission.admit(credentials));
    let identity = match judging.await.unwrap_or(Verdict::Busy) {
        Verdict::Admitted(identity) => identity,
        Verdict::BadCredentials => return Err(Reason::BAD_USER_NAME_OR_PASSWORD),
        Verdict::NotAuthorized => return Err(Reason::NOT_AUTHORIZED),
        Verdict::Busy => return Err(Reason::SERVER_BUSY),
    };
    let may_publish = |will: &Will| {
        shared.admission.access().allows(&identity, Action::Publish(will.topic.as_str()))
    };
    if connect.will.as_ref().is_some_and(|will| !may_publish(will)) {
        return Err(Reason::NOT_AUTHORIZED);
    }
    Ok(identity)
}

async fn open(
    shared: &Shared,
    connect: Connect,
    client_id: Arc<str>,
    identity: Identity,
) -> Result<Connected, Reason> {
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
    Ok(Connected { connect, client_id, identity, generation, session, plan, opened, kicked })
}

/// [MQTT-3.1.3-6]; which empty ones are served the codec knows.
fn client_id(connect: &Connect) -> Result<(Arc<str>, ClientId), Reason> {
    let client_id = connect.client_id.as_str();
    if client_id.contains(CLIENT_ID_FORBIDDEN) {
        return Err(Reason::CLIENT_ID_NOT_VALID);
    }
    if !client_id.is_empty() {
        return Ok((client_id.into(), ClientId::Chosen));
    }
    // Keys of the hasher are random: 128 bits that nobody guesses and nobody gets twice.
    let random = || RandomState::new().build_hasher().finish();
    Ok((format!("auto-{:016x}{:016x}", random(), random()).into(), ClientId::Assigned))
}

/// The CONNACK that accepts. Refuses a client that cannot take it, while there is no session.
fn connack(
    shared: &Shared,
    connect: &Connect,
    (client_id, chosen): (&Arc<str>, ClientId),
) -> Result<Connack, Reason> {
    let assigned = (chosen == ClientId::Assigned).then(|| Bytes::from(client_id.to_string()));
    let announcement = Announcement {
        receive_maximum: shared.config.receive_maximum,
        packet_bytes_max: u32::try_from(shared.config.packet_bytes_max).unwrap_or(u32::MAX),
        topic_alias_maximum: shared.config.topic_aliases_max,
        assigned_client_id: assigned.map(|id| Text::parse(id).expect("37 ASCII characters")),
        ..Announcement::default()
    };
    let connack = Connack { announcement, ..Connack::default() };
    // Whether the session is present does not change the length.
    write_connack(connack.clone(), &connect.recipient(), &mut BytesMut::new())
        .map_err(|_| Reason::PACKET_TOO_LARGE)?;
    Ok(connack)
}

/// Takes the client id, from an older connection if there is one.
async fn take_over(shared: &Shared, claim: &Claim, kick: Kick) -> Result<Claimed, Reason> {
    for _ in 0..TAKEOVER_ATTEMPTS {
        let claimed = shared.registry().claim(shared.now(), claim, Arc::clone(&kick));
        let older = match claimed {
            Ok(claimed) => {
                // Too late to be among the connections that the host told to end.
                if *shared.phase.borrow() == Phase::Stopped {
                    kick.send_replace(Some(Ending::ShuttingDown));
                }
                return Ok(claimed);
            }
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
