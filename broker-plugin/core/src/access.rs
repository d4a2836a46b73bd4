//! Who a client is, and what it may do.
//!
//! The engine asks at each PUBLISH, at each topic filter of a SUBSCRIBE and at each delivery, the
//! retained and will messages included. What answers is chosen by the shell.

mod acl;

use std::fmt::Debug;
use std::sync::Arc;

pub use acl::{Acl, AclError};

/// A client that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Chosen by the client, or assigned to it. Not proof of anything.
    pub client_id: Arc<str>,
    /// Proved by a password or a certificate; `None`: anonymous.
    pub user_name: Option<Arc<str>>,
}

/// What a client is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Publish to this topic name, by PUBLISH or by its will.
    Publish(&'a str),
    /// Subscribe with this topic filter, without the share name of a shared one.
    Subscribe(&'a str),
    /// Be sent a message of this topic name.
    Receive(&'a str),
}

/// Decides what a client may do. Asked on every message: it answers at once, from memory.
pub trait Access: Debug + Send + Sync {
    /// Whether `who` may.
    fn allows(&self, who: &Identity, action: Action<'_>) -> bool;
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowAll;

impl Access for AllowAll {
    fn allows(&self, _: &Identity, _: Action<'_>) -> bool {
        true
    }
}
