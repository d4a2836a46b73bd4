//! Who may connect, and what connected clients may do: asked here, answered by the shell.

use std::fmt;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use broker_core::access::{Access, AllowAll, Identity};
use bytes::Bytes;

/// Where a connection comes from, as its listener knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; behind a load balancer that says it, not the load balancer's.
    pub peer: SocketAddr,
    /// Of a client certificate that the listener has verified.
    pub certificate: Option<CertificateSubject>,
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSubject {
    /// `None`: the subject has no common name.
    pub common_name: Option<Arc<str>>,
    /// Distinguished name in the text form of RFC 4514.
    pub subject: Arc<str>,
}

/// What a CONNECT and its connection say about who it is. Nothing of it is proved but the
/// certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Chosen by the client, or assigned to it. Never empty.
    pub client_id: Arc<str>,
    /// As claimed; perhaps empty.
    pub user_name: Option<Arc<str>>,
    /// Secret: left out of the debug output.
    pub password: Option<Bytes>,
    /// Where the connection comes from.
    pub origin: Origin,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("has_password", &self.password.is_some())
            .field("origin", &self.origin)
            .finish()
    }
}

/// What becomes of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client comes in under this identity.
    Admitted(Identity),
    /// CONNACK says 0x86; before 5.0 code 4.
    BadCredentials,
    /// CONNACK says 0x87; before 5.0 code 5.
    NotAuthorized,
    /// Cannot be told at the moment: CONNACK says 0x89; before 5.0 code 3.
    Busy,
}

/// A [`Verdict`] to come. Dropped when the client has waited too long.
pub type Admitting = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// Decides who may connect, and hands out the rules for those who are in.
pub trait Admission: fmt::Debug + Send + Sync {
    /// Judges a CONNECT. After [`HostConfig::admit_timeout`](crate::HostConfig::admit_timeout) the
    /// client is told that the host is busy.
    fn admit(&self, credentials: Credentials) -> Admitting;

    /// The rules as they are now. Asked again at each turn of a connection's task, so a change
    /// reaches clients that are connected: answer at once.
    fn access(&self) -> Arc<dyn Access>;
}

/// Everybody may connect, anonymously, and do everything. A user name that nobody has checked is
/// not part of the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn admit(&self, credentials: Credentials) -> Admitting {
        let identity = Identity { client_id: credentials.client_id, user_name: None };
        Box::pin(ready(Verdict::Admitted(identity)))
    }

    fn access(&self) -> Arc<dyn Access> {
        static ALLOW_ALL: LazyLock<Arc<AllowAll>> = LazyLock::new(Arc::default);
        Arc::<AllowAll>::clone(&ALLOW_ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_not_in_the_debug_output() {
        let credentials = Credentials {
            client_id: "c".into(),
            user_name: Some("u".into()),
            password: Some(Bytes::from_static(b"hunter2")),
            origin: Origin { peer: ([127, 0, 0, 1], 1).into(), certificate: None },
        };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
        assert!(shown.contains("has_password: true"), "{shown}");
    }
}
