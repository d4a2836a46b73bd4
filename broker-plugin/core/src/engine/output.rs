//! What a connection wants done.

use std::sync::Arc;

use bytes::BytesMut;
use ha_types::Message;
use ha_types::session::Ask;

use super::note::Notes;
use crate::access::Identity;
use crate::codec::{Binary, Text};

/// What the shell must do after a step. Reused, so that the hot path allocates nothing.
#[derive(Debug, Default)]
pub struct Output {
    /// For the client, in order. What is still here at the next step counts as not written.
    pub bytes: BytesMut,
    /// In order.
    pub requests: Vec<Request>,
    /// Since the shell last took them.
    pub counts: Counts,
    /// Likewise.
    pub notes: Notes,
}

/// Something that only the shell, or somebody behind it, can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Answered by [`Input::Verdict`](super::Input::Verdict). Until then the client is not read from.
    Authenticate(Box<Credentials>),
    /// A message of QoS 0, or a will: to whoever subscribes. Not answered.
    Publish(Arc<Message>),
    /// For the holder of sessions. A [`Ask::Publish`] goes to live subscribers as well: at QoS 2 not
    /// before the holder has it.
    Ask(Ask),
    /// Write what is in `bytes`, then close the socket.
    Close,
}

/// What a client shows to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Chosen by the client, or assigned.
    pub client_id: Arc<str>,
    /// By which means.
    pub attempt: Attempt,
}

/// How a client wants to be authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// By user name and password, by its certificate, or not at all.
    Plain {
        /// As it says.
        user_name: Option<Text>,
        /// Secret.
        password: Option<Binary>,
    },
    /// First step of a method (5.0 §4.12).
    Begin {
        /// Name of the method.
        method: Text,
        /// As the method defines.
        data: Option<Binary>,
    },
    /// A further step.
    Continue {
        /// As the method defines.
        data: Option<Binary>,
    },
    /// First step of an authentication while the client is connected (5.0 §4.12.1).
    Again {
        /// Name of the method.
        method: Text,
        /// As the method defines.
        data: Option<Binary>,
    },
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Admitted {
        /// As whom.
        identity: Identity,
        /// Last word of the method.
        data: Option<Binary>,
    },
    /// The method has a question.
    Challenge {
        /// As the method defines.
        data: Option<Binary>,
    },
    /// 0x86.
    BadCredentials,
    /// 0x87.
    NotAuthorized,
    /// 0x8C: no such method here.
    BadMethod,
    /// 0x89: too many at once.
    Busy,
}

/// What happened, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// PUBLISH packets taken from the client.
    pub received: u64,
    /// PUBLISH packets written for the client.
    pub sent: u64,
    /// Messages that this client should have got: too large for it, or it was too slow.
    pub dropped: u64,
    /// Messages that this client must not get, or must not publish.
    pub denied: u64,
}
