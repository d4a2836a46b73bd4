//! How connections are made: which version of MQTT, and whether with TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::packet::Protocol;
use crate::stream::Stream;

/// What the user says about it.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectorArgs {
    /// Version of MQTT.
    #[arg(long, value_enum, default_value_t = Protocol::V311)]
    protocol: Protocol,
    /// Connects by TLS to servers with certificates that are signed by one in this file, as PEM.
    /// They must be for the HOST of HOST:PORT.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Makes connections. By default MQTT 3.1.1 without TLS.
#[derive(Clone, Default)]
pub(crate) struct Connector {
    pub(crate) protocol: Protocol,
    tls: Option<TlsConnector>,
}

impl ConnectorArgs {
    pub(crate) fn connector(&self) -> io::Result<Connector> {
        let tls = self.ca.as_deref().map(tls).transpose()?;
        Ok(Connector { protocol: self.protocol, tls })
    }
}

impl Connector {
    pub(crate) async fn dial(&self, address: &str) -> io::Result<Stream> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(socket)) };
        let socket = tls.connect(server_name(address)?, socket).await?;
        Ok(Stream::Tls(Box::new(socket)))
    }
}

fn tls(ca: &Path) -> io::Result<TlsConnector> {
    let wrong = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", ca.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The host of HOST:PORT; an address of IPv6 is in brackets.
fn server_name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let wrong = |_| {
        let reason = format!("{address}: no certificate can be for {host}");
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    };
    ServerName::try_from(host.to_owned()).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_server_is_the_host_of_its_address() {
        let name = |address| server_name(address).unwrap().to_str().into_owned();
        assert_eq!(name("broker.example:8883"), "broker.example");
        assert_eq!(name("127.0.0.1:8883"), "127.0.0.1");
        assert_eq!(name("[::1]:8883"), "::1");
        assert!(server_name("a b:8883").is_err());
    }

    #[test]
    fn file_that_is_missing_or_has_no_certificate_is_named() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for path in [manifest, "/nowhere.pem"] {
            let args = ConnectorArgs { protocol: Protocol::V5, ca: Some(path.into()) };
            let error = args.connector().err().unwrap().to_string();
            assert!(error.starts_with(&format!("{path}: ")), "{error}");
        }
    }
}
