//! From the first byte to CONNACK.

use std::sync::Arc;

use ha_types::session::{Ask, Lifetime, NewWill, Open, Opened, RefuseReason, Start};
use ha_types::{BrokerEpoch, Message, Millis, Publisher, SessionId};

use super::ending::{End, Farewell, Why};
use super::inflow::{fits, is_own, refused};
use super::serving::{Beginning, Serving};
use super::{Connection, Moment, State, Surroundings};
use crate::access::{Action, Identity};
use crate::codec::{
    Announcement, Auth, Authentication, Binary, Connack, Connect, ConnectError, Disconnect, Frame,
    FromClient, FromServer, PacketType, Reason, Recipient, Remarks, Sender, Text, Version,
};
use crate::engine::limits::{Limits, SharedSubscriptions};
use crate::engine::note::{Connected, Note};
use crate::engine::output::{Attempt, Credentials, Output, Request, Verdict};

/// A CONNECT that was understood.
#[derive(Debug)]
pub(super) struct Greeted {
    connect: Connect,
    client_id: Arc<str>,
    /// Who it turned out to be.
    identity: Option<Identity>,
    /// Last word of the authentication method.
    data: Option<Binary>,
    /// When the client must have been let in.
    pub(super) until: Millis,
}

impl Greeted {
    pub(super) fn recipient(&self) -> Recipient {
        self.connect.recipient()
    }

    fn method(&self) -> Option<&Text> {
        self.connect.authentication.as_ref().map(|authentication| &authentication.method)
    }
}

impl Connection {
    /// The first packet.
    pub(super) fn greet(
        &mut self,
        frame: &Frame,
        until: Millis,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let connect = match Connect::decode(frame) {
            Ok(connect) => connect,
            Err(ConnectError::NotMqtt) => return self.close(out),
            Err(ConnectError::Refused { version, error }) => {
                let recipient = Recipient::any(version);
                let why = Why::Packet(error);
                return self.refuse(
                    recipient,
                    Farewell { reason: error.reason(), why },
                    around,
                    out,
                );
            }
        };
        let recipient = connect.recipient();
        out.notes.write(|| Note::Hello {
            client_id: self.client_id(&connect),
            user_name: connect.user_name.clone(),
            version: connect.version,
        });
        if let Some(reason) = self.refusal {
            let why = Why::Text("this broker takes no more clients");
            return self.refuse(recipient, Farewell { reason, why }, around, out);
        }
        let greeted = Greeted {
            client_id: self.client_id(&connect),
            connect,
            identity: None,
            data: None,
            until,
        };
        let attempt = match &greeted.connect.authentication {
            Some(Authentication { method, data }) => {
                Attempt::Begin { method: method.clone(), data: data.clone() }
            }
            None => Attempt::Plain {
                user_name: greeted.connect.user_name.clone(),
                password: greeted.connect.password.clone(),
            },
        };
        self.authenticate(greeted, attempt, out);
    }

    /// [MQTT-3.1.3-6], [MQTT-3.1.3-7]: a number that nobody else has.
    fn client_id(&self, connect: &Connect) -> Arc<str> {
        if connect.client_id.is_empty() {
            return format!("auto-{:032x}", self.random).into();
        }
        connect.client_id.as_str().into()
    }

    fn authenticate(&mut self, greeted: Greeted, attempt: Attempt, out: &mut Output) {
        let client_id = Arc::clone(&greeted.client_id);
        let credentials = Credentials { client_id, attempt };
        out.requests.push(Request::Authenticate(Box::new(credentials)));
        self.state = State::Authenticating(Box::new(greeted));
    }

    /// Answer to CONNECT, or to a step of enhanced authentication before CONNACK.
    pub(super) fn judge(
        &mut self,
        mut greeted: Box<Greeted>,
        verdict: Verdict,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let recipient = greeted.recipient();
        let reason = match verdict {
            Verdict::Admitted { identity, data } => {
                greeted.identity = Some(identity);
                greeted.data = data;
                return self.open(greeted, around, out);
            }
            Verdict::Challenge { data } => return self.challenge(greeted, data, out),
            Verdict::BadCredentials => Reason::BAD_USER_NAME_OR_PASSWORD,
            Verdict::NotAuthorized => Reason::NOT_AUTHORIZED,
            Verdict::BadMethod => Reason::BAD_AUTHENTICATION_METHOD,
            Verdict::Busy => Reason::SERVER_BUSY,
        };
        self.refuse(recipient, Farewell { reason, why: Why::Text(reason.as_str()) }, around, out);
    }

    /// [MQTT-4.12.0-2], [MQTT-4.12.0-3]
    fn challenge(&mut self, greeted: Box<Greeted>, data: Option<Binary>, out: &mut Output) {
        let Some(method) = greeted.method().cloned() else { return self.close(out) };
        let auth = Auth {
            reason: Reason::CONTINUE_AUTHENTICATION,
            authentication: Authentication { method, data },
            remarks: Remarks::default(),
        };
        match FromServer::Auth(auth).encode(&greeted.recipient(), &mut out.bytes) {
            Ok(()) => self.state = State::Challenged(greeted),
            Err(_) => self.close(out),
        }
    }

    /// The client's answer to a challenge [MQTT-4.12.0-4], [MQTT-4.12.0-5].
    pub(super) fn answer_challenge(
        &mut self,
        greeted: Box<Greeted>,
        frame: Frame,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let recipient = greeted.recipient();
        match FromClient::decode(recipient.version, frame) {
            Ok(FromClient::Auth(auth))
                if auth.reason == Reason::CONTINUE_AUTHENTICATION
                    && Some(&auth.authentication.method) == greeted.method() =>
            {
                let data = auth.authentication.data;
                self.authenticate(*greeted, Attempt::Continue { data }, out);
            }
            Ok(FromClient::Disconnect(_)) => self.close(out),
            Ok(_) => {
                let why = Why::Text("only AUTH with the same method may follow a challenge");
                self.refuse(
                    recipient,
                    Farewell { reason: Reason::PROTOCOL_ERROR, why },
                    around,
                    out,
                );
            }
            Err(error) => {
                // CONNACK has no reasons for topics and the like, which must not come here at all.
                let fits = error.reason().is_allowed_in(PacketType::Connack, Sender::Server);
                let reason = if fits { error.reason() } else { Reason::PROTOCOL_ERROR };
                self.refuse(recipient, Farewell { reason, why: Why::Packet(error) }, around, out);
            }
        }
    }

    fn open(&mut self, greeted: Box<Greeted>, around: &Surroundings<'_>, out: &mut Output) {
        let identity = greeted.identity.as_ref().expect("opened once admitted");
        let will = match will(&greeted.connect, identity, around) {
            Ok(will) => will,
            Err(farewell) => return self.refuse(greeted.recipient(), farewell, around, out),
        };
        let connect = &greeted.connect;
        let ask = Ask::Open(Open {
            connection: self.id,
            client_id: Arc::clone(&greeted.client_id),
            start: if connect.clean_start { Start::Clean } else { Start::Resume },
            lifetime: Lifetime::from_expiry_interval(session_expiry(connect, around.limits)),
            will,
            receive_maximum: connect.receive_maximum.min(around.limits.inflight_max),
        });
        out.requests.push(Request::Ask(ask));
        self.state = State::Opening(greeted);
    }

    /// The holder's answer: CONNACK goes out.
    pub(super) fn opened(
        &mut self,
        greeted: Box<Greeted>,
        opened: Opened,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let recipient = greeted.recipient();
        let connack = connack(&greeted, opened.is_present, around.limits);
        let Greeted { connect, identity, .. } = *greeted;
        let keep_alive_s = keep_alive(&connect, around.limits);
        out.notes.write(|| {
            Note::Connected(Box::new(Connected {
                user_name: identity.as_ref().and_then(|identity| identity.user_name.clone()),
                clean_start: connect.clean_start,
                session_present: opened.is_present,
                session_expiry_s: session_expiry(&connect, around.limits),
                keep_alive_s,
                will_topic: connect.will.as_ref().map(|will| will.topic.clone()),
            }))
        });
        let beginning = Beginning {
            identity: identity.expect("opened once admitted"),
            recipient,
            session_expiry_s: session_expiry(&connect, around.limits),
            keep_alive_ms: (keep_alive_s > 0).then(|| u64::from(keep_alive_s) * 1_500),
            window: connect.receive_maximum.min(around.limits.inflight_max),
            aliases: connect.topic_alias_maximum.min(around.limits.topic_alias_out_max),
            method: connect.authentication.map(|authentication| authentication.method),
        };
        let written = FromServer::Connack(connack).encode(&recipient, &mut out.bytes);
        let (mut serving, records) = Serving::new(beginning, opened, at, around.limits);
        let outcome =
            written.map_err(End::from).and_then(|()| serving.resume(records, at, around, out));
        self.state = State::Serving(Box::new(serving));
        if let Err(end) = outcome {
            self.end(end, around, out);
        }
    }

    pub(super) fn open_refused(
        &mut self,
        greeted: &Greeted,
        reason: RefuseReason,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let reason = match reason {
            RefuseReason::Unavailable => Reason::SERVER_UNAVAILABLE,
            reason => refused(reason),
        };
        let farewell = Farewell { reason, why: Why::Text(reason.as_str()) };
        self.refuse(greeted.recipient(), farewell, around, out);
    }

    /// CONNACK with a reason, then the end [MQTT-3.1.4-2], [MQTT-3.2.2-7].
    pub(super) fn refuse(
        &mut self,
        recipient: Recipient,
        farewell: Farewell,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let Farewell { reason, why } = farewell;
        out.notes.write(|| Note::Refused { reason, why: why.to_string() });
        let mut connack = Connack::refusal(reason, Remarks::because(why.to_string()));
        if matches!(reason, Reason::USE_ANOTHER_SERVER | Reason::SERVER_MOVED) {
            connack.announcement.server_reference = around.limits.server_reference.clone();
        }
        // What does not fit cannot be said.
        let _ = FromServer::Connack(connack).encode(&recipient, &mut out.bytes);
        self.close(out);
    }

    /// DISCONNECT where the version has one, and the end [MQTT-3.14.0-1].
    pub(super) fn say(
        recipient: Recipient,
        farewell: Farewell,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        let Farewell { mut reason, why } = farewell;
        let mut server_reference = None;
        if reason == Reason::SERVER_SHUTTING_DOWN && around.limits.server_reference.is_some() {
            reason = Reason::USE_ANOTHER_SERVER;
        }
        if matches!(reason, Reason::USE_ANOTHER_SERVER | Reason::SERVER_MOVED) {
            server_reference = around.limits.server_reference.clone();
        }
        let remarks = Remarks::because(why.to_string());
        let disconnect = Disconnect { reason, session_expiry_s: None, server_reference, remarks };
        // What does not fit cannot be said.
        let _ = FromServer::Disconnect(disconnect).encode(&recipient, &mut out.bytes);
    }
}

fn session_expiry(connect: &Connect, limits: &Limits) -> u32 {
    connect.session_expiry_s.min(limits.session_expiry_max_s)
}

/// Zero: none.
fn keep_alive(connect: &Connect, limits: &Limits) -> u16 {
    match (connect.keep_alive_s, limits.keep_alive_max_s) {
        (asked, 0) => asked,
        // Only 5.0 can be told that another one is used [MQTT-3.2.2-21].
        (asked, _) if connect.version < Version::V5 => asked,
        (0, max) => max,
        (asked, max) => asked.min(max),
    }
}

fn connack(greeted: &Greeted, is_present: bool, limits: &Limits) -> Connack {
    let connect = &greeted.connect;
    let text = |text: &str| Text::parse(text.to_owned().into()).ok();
    let (expiry, keep_alive) = (session_expiry(connect, limits), keep_alive(connect, limits));
    let is_assigned = connect.client_id.is_empty();
    let announcement = Announcement {
        session_expiry_s: (expiry != connect.session_expiry_s).then_some(expiry),
        receive_maximum: limits.receive_maximum,
        packet_bytes_max: limits.packet_bytes_max,
        assigned_client_id: is_assigned.then(|| text(&greeted.client_id)).flatten(),
        topic_alias_maximum: limits.topic_alias_maximum,
        shared_available: limits.shared_subscriptions == SharedSubscriptions::Served,
        server_keep_alive_s: (keep_alive != connect.keep_alive_s).then_some(keep_alive),
        response_information: match connect.wants_response_information {
            true => limits.response_information.clone(),
            false => None,
        },
        authentication: greeted
            .method()
            .map(|method| Authentication { method: method.clone(), data: greeted.data.clone() }),
        ..Announcement::default()
    };
    Connack {
        session_present: is_present,
        reason: Reason::SUCCESS,
        announcement,
        remarks: Remarks::default(),
    }
}

/// The will, if the client may publish it.
fn will(
    connect: &Connect,
    identity: &Identity,
    around: &Surroundings<'_>,
) -> Result<Option<NewWill>, Farewell> {
    let Some(will) = &connect.will else { return Ok(None) };
    let refuse = |reason, why| Farewell { reason, why: Why::Text(why) };
    fits(will.topic.as_bytes(), around.limits)
        .map_err(|why| refuse(Reason::TOPIC_NAME_INVALID, why))?;
    let topic = will.topic.as_str();
    let may = around.access.is_none_or(|access| access.allows(identity, Action::Publish(topic)));
    if is_own(topic) || !may {
        return Err(refuse(Reason::NOT_AUTHORIZED, "the will's topic is not allowed"));
    }
    let message = Message {
        topic: will.topic.clone(),
        payload: will.payload.as_bytes().clone(),
        properties: will.properties.clone(),
        qos: will.qos,
        retain: will.retain,
        expires_at: None,
        publisher: Publisher { session: SessionId(0), epoch: BrokerEpoch(0) },
    };
    // Kept as long as the connection: not in the buffer that CONNECT came in.
    let message = Arc::new(message.detached());
    Ok(Some(NewWill { message, expires_in_s: will.expires_in_s, delay_s: will.delay_s }))
}
