//! Opening a listening port, with an error that says what to do.
//!
//! Does not retry and does not look for another port: what the operator wrote is what is opened.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use tokio::net::TcpListener;

/// Why a port could not be opened. `key` is the setting that chooses the port.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket listens there.
    #[error("{address} is in use: another server runs there; stop it or choose another {key}")]
    InUse {
        /// What was asked for.
        address: SocketAddr,
        /// The setting to change.
        key: String,
    },
    /// No network interface has this address.
    #[error("{address} is not an address of this machine: choose one that is, or 0.0.0.0 for all")]
    NotLocal {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The operating system forbids it, usually because the port is below 1024.
    #[error(
        "{address} may not be opened by this user: grant the right to do so or choose another {key}"
    )]
    Forbidden {
        /// What was asked for.
        address: SocketAddr,
        /// The setting to change.
        key: String,
    },
    /// Anything else that the operating system says.
    #[error("{address} cannot be opened; check {key}")]
    Refused {
        /// What was asked for.
        address: SocketAddr,
        /// The setting to check.
        key: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Opens `address` for listening. `key` names the setting of the port, for the error only.
///
/// Port 0 lets the operating system choose; [`TcpListener::local_addr`] tells which.
pub async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError::new(address, key, source))
}

impl BindError {
    /// What the operating system said when `address`, which the setting `key` chose, was opened.
    pub fn new(address: SocketAddr, key: &str, source: io::Error) -> Self {
        let key = key.to_owned();
        match source.kind() {
            ErrorKind::AddrInUse => Self::InUse { address, key },
            ErrorKind::AddrNotAvailable => Self::NotLocal { address },
            ErrorKind::PermissionDenied => Self::Forbidden { address, key },
            _ => Self::Refused { address, key, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_its_address_and_the_key_to_change() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "HA_port").await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, "HA_port").await.unwrap_err();
        let told = "is in use: another server runs there; stop it or choose another HA_port";
        assert_eq!(error.to_string(), format!("{address} {told}"));
    }

    #[tokio::test]
    async fn a_port_is_free_again_when_its_listener_is_gone() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "HA_port").await.unwrap();
        let address = first.local_addr().unwrap();
        drop(first);
        assert_eq!(bind(address, "HA_port").await.unwrap().local_addr().unwrap(), address);
    }

    /// 192.0.2.0/24 is reserved for documentation, so no machine has it [RFC 5737].
    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let error = bind("192.0.2.1:0".parse().unwrap(), "HA_port").await.unwrap_err();
        assert!(matches!(error, BindError::NotLocal { .. }), "{error}");
    }
}
