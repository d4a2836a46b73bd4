//! Who may come into a broker, and what they may do there: the first sources of identities.
//!
//! [`Gate`] judges credentials with a password file as `mosquitto_passwd` writes it and with the
//! subject of a client's certificate; it has the access rules of an ACL file. Files are read at the
//! start and again by [`Gate::reload`], which keeps the old ones when a new one is wrong.
//!
//! Passwords are verified by threads of their own behind a bounded queue, so that a storm of connects
//! stops no traffic. A name that does not exist costs the same as one that does.
//!
//! What is *not* here: sockets, sessions, and the rules themselves ([`broker_core::access`]).

mod gate;
mod hash;
mod password_file;
mod pool;

pub use gate::{AuthConfig, AuthError, CertificateUser, Gate, Subject};
pub use hash::InvalidHash;
pub use password_file::{PasswordFile, PasswordFileError};
