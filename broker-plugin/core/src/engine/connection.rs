//! One client's connection, for all versions of the protocol.
//!
//! A value that is stepped: packets of the client, answers of the holder of sessions and messages of
//! others go in; bytes for the client and requests come out ([`Output`]). Runs in every broker, once
//! per connection, and knows nothing of the other connections.
//!
//! The life of a connection: `Greeting` (waits for CONNECT) → `Authenticating` ⇄ `Challenged` →
//! `Opening` (waits for the session) → `Serving` → `Ended`. A client that goes away while its session
//! is being opened leaves `Abandoned` behind, which closes it.
//!
//! What is *not* here: what differs between versions on the wire ([`crate::codec::version`]), who
//! gets a message, and sessions that outlive the connection.

mod aliases;
mod backlog;
mod ending;
mod feed;
mod handshake;
mod inflow;
mod leaving;
mod outflow;
mod reauthentication;
mod serving;
mod subscribing;
mod throttle;
mod waiting;

use ha_types::session::{Ask, CloseCause, ConnectionId, Progress, Tell};
use ha_types::{ClusterMillis, Millis};

pub use ending::Ending;
pub use leaving::LEAVE_MS_MAX;

use self::ending::{End, Farewell, Why};
use self::handshake::Greeted;
use self::serving::Serving;
use super::delivery::Delivery;
use super::limits::Limits;
use super::output::{Output, Request, Verdict};
use crate::access::Access;
use crate::codec::{DecodeError, Frame, FromClient, Reason};

/// The time, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For what happens in this process.
    pub now: Millis,
    /// For what expires.
    pub cluster: ClusterMillis,
}

/// What a connection is among. May change between two steps.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Of its listener.
    pub limits: &'a Limits,
    /// `None`: everybody may do everything.
    pub access: Option<&'a dyn Access>,
}

/// Something that happened to a connection.
#[derive(Debug)]
pub enum Input {
    /// The client sent a packet. Only while [`Connection::wants_input`].
    Frame(Frame),
    /// The client sent what cannot be a packet.
    BadFrame(DecodeError),
    /// Answer to [`Request::Authenticate`].
    Verdict(Verdict),
    /// From the holder of sessions.
    Tell(Tell),
    /// A live message for this client.
    Deliver(Delivery),
    /// The deadline has come.
    Tick,
    /// The client has to go elsewhere: what it began is brought to its end, as far as that takes no
    /// longer than [`LEAVE_MS_MAX`]; then it is told so. Before it is served, CONNACK says it, or the
    /// shell gives this again when it is.
    Leave,
    /// The shell ends the connection.
    End(Ending),
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    id: ConnectionId,
    /// Why CONNECT will be refused, whatever it says.
    refusal: Option<Reason>,
    random: u128,
    state: State,
}

#[derive(Debug)]
enum State {
    Greeting(Millis),
    Authenticating(Box<Greeted>),
    Challenged(Box<Greeted>),
    Opening(Box<Greeted>),
    Abandoned,
    Serving(Box<Serving>),
    Ended,
}

impl Connection {
    /// A connection whose first byte has not come. `random` becomes the client identifier of a client
    /// that has none.
    #[must_use]
    pub fn new(id: ConnectionId, now: Millis, limits: &Limits, random: u128) -> Self {
        let state = State::Greeting(now.plus(limits.connect_timeout_ms));
        Self { id, refusal: None, random, state }
    }

    /// CONNECT will be answered with this reason: the client hears why instead of finding a closed
    /// port.
    pub fn refuse_connect(&mut self, reason: Reason) {
        self.refusal = Some(reason);
    }

    /// Whether the client has not sent its CONNECT.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        matches!(self.state, State::Greeting(_))
    }

    /// Whether the client's packets are taken. While not, the shell does not read from it.
    #[must_use]
    pub fn wants_input(&self, at: Moment, around: &Surroundings<'_>, out: &Output) -> bool {
        match &self.state {
            State::Greeting(_) | State::Challenged(_) => true,
            State::Serving(serving) => serving.wants_input(at, around, out),
            State::Authenticating(_) | State::Opening(_) | State::Abandoned | State::Ended => false,
        }
    }

    /// Whether nothing more will come of it. The shell lets go of it then, and not before.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether the client has its session.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        matches!(self.state, State::Serving(_))
    }

    /// Deliveries that wait until the client can take them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.state {
            State::Serving(serving) => serving.waiting(),
            _ => 0,
        }
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self, at: Moment, around: &Surroundings<'_>) -> Option<Millis> {
        match &self.state {
            State::Greeting(until) => Some(*until),
            State::Authenticating(greeted) | State::Challenged(greeted) => Some(greeted.until),
            State::Serving(serving) => serving.deadline(at, around),
            State::Opening(_) | State::Abandoned | State::Ended => None,
        }
    }

    /// Takes one input. [`settle`](Self::settle) must follow before the shell waits again.
    pub fn step(&mut self, at: Moment, around: &Surroundings<'_>, input: Input, out: &mut Output) {
        if let State::Serving(serving) = &mut self.state {
            let outcome = match input {
                Input::Frame(frame) => FromClient::decode(serving.recipient.version, frame)
                    .map_err(End::from)
                    .and_then(|packet| serving.packet(packet, at, around, out)),
                Input::Deliver(delivery) => serving.deliver(delivery, at, around, out),
                Input::Tell(tell) => serving.tell(tell, at, around, out),
                Input::BadFrame(error) => Err(error.into()),
                Input::Verdict(verdict) => serving.verdict(verdict, out),
                Input::Tick => serving.tick(at, around, out),
                Input::Leave => {
                    serving.leave(at);
                    Ok(())
                }
                Input::End(ending) => Err(ending.into()),
            };
            return outcome.unwrap_or_else(|end| self.end(end, around, out));
        }
        match (std::mem::replace(&mut self.state, State::Ended), input) {
            (state, Input::Tick) => self.tick_before_serving(state, at, around, out),
            (State::Authenticating(greeted) | State::Challenged(greeted), Input::Leave) => {
                let farewell = End::going_away(around.limits).farewell;
                let farewell = farewell.expect("who goes is told so");
                self.refuse(greeted.recipient(), farewell, around, out);
            }
            (state, Input::End(ending)) => self.end_before_serving(state, ending, around, out),
            (State::Greeting(until), Input::Frame(frame)) => self.greet(&frame, until, around, out),
            (State::Greeting(_), Input::BadFrame(_)) => self.close(out),
            (State::Authenticating(greeted), Input::Verdict(verdict)) => {
                self.judge(greeted, verdict, around, out);
            }
            (State::Challenged(greeted), Input::Frame(frame)) => {
                self.answer_challenge(greeted, frame, around, out);
            }
            (State::Challenged(greeted), Input::BadFrame(error)) => {
                let farewell = Farewell { reason: error.reason(), why: Why::Packet(error) };
                self.refuse(greeted.recipient(), farewell, around, out);
            }
            (State::Opening(greeted), Input::Tell(Tell::Opened(opened))) => {
                self.opened(greeted, opened, at, around, out);
            }
            (State::Opening(greeted), Input::Tell(Tell::OpenRefused { reason, .. })) => {
                self.open_refused(&greeted, reason, around, out);
            }
            (State::Abandoned, Input::Tell(Tell::Opened(opened))) => {
                // It was never told that it is connected: its will is not due.
                out.requests.push(Request::Ask(Ask::Close {
                    session: opened.session,
                    cause: CloseCause::Disconnect,
                    progress: Progress::default(),
                    lifetime: None,
                }));
            }
            (State::Abandoned, Input::Tell(Tell::OpenRefused { .. })) => (),
            (state, _) => self.state = state,
        }
    }

    /// Ends a batch of steps: sends what waits, reports progress, asks for more.
    pub fn settle(&mut self, at: Moment, around: &Surroundings<'_>, out: &mut Output) {
        let State::Serving(serving) = &mut self.state else { return };
        if let Err(end) = serving.settle(at, around, out) {
            self.end(end, around, out);
        }
    }

    fn tick_before_serving(
        &mut self,
        state: State,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        match state {
            State::Greeting(until) if at.now >= until => self.close(out),
            State::Challenged(greeted) | State::Authenticating(greeted)
                if at.now >= greeted.until =>
            {
                let why = Why::Text("authentication took too long");
                let farewell = Farewell { reason: Reason::NOT_AUTHORIZED, why };
                self.refuse(greeted.recipient(), farewell, around, out);
            }
            state => self.state = state,
        }
    }

    fn end_before_serving(
        &mut self,
        state: State,
        ending: Ending,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) {
        match (state, ending) {
            (State::Ended, _) => (),
            (State::Opening(_) | State::Abandoned, _) => {
                out.requests.push(Request::Close);
                self.state = State::Abandoned;
            }
            (State::Authenticating(greeted) | State::Challenged(greeted), Ending::ShuttingDown) => {
                let why = Why::Text("the broker shuts down");
                let farewell = Farewell { reason: Reason::SERVER_UNAVAILABLE, why };
                self.refuse(greeted.recipient(), farewell, around, out);
            }
            _ => self.close(out),
        }
    }

    /// Ends a connection that was served: says why where the version can, closes the session.
    fn end(&mut self, end: End, around: &Surroundings<'_>, out: &mut Output) {
        let State::Serving(serving) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        out.notes.write(|| end.note());
        if let Some(farewell) = end.farewell {
            Self::say(serving.recipient, farewell, around, out);
        }
        if let Some(cause) = end.cause {
            serving.close(cause, end.lifetime, out);
        }
        out.requests.push(Request::Close);
    }

    /// Without a word.
    fn close(&mut self, out: &mut Output) {
        self.state = State::Ended;
        out.requests.push(Request::Close);
    }
}
