//! TLS of a listener: its files, what it asks of clients, and reading the files again.
//!
//! `pem.rs` finds keys and certificates in files; `certificate.rs` says whose a certificate is.
//! TLS 1.2 and 1.3 with rustls and ring, and the cipher suites that rustls chose.

mod certificate;
mod pem;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring::default_provider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};

pub use certificate::CertificateSubject;
pub(crate) use certificate::{CertificateError, subject};
use pem::Sections;

/// TLS sessions that clients may resume, per listener. One takes a few hundred bytes, and those
/// of clients with certificates one to three KiB; the oldest is forgotten.
const RESUMABLE_MAX: usize = 4096;
/// An MQTT client has one connection, so one ticket is enough.
const TICKETS_PER_CONNECTION: usize = 1;

/// Where a listener's certificate and key are. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, then the intermediate ones.
    pub chain: PathBuf,
    /// Its private key, not encrypted: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

/// Whether clients show a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// None is asked for.
    None,
    /// A client may show one; a wrong one ends the connection.
    Optional(ClientAuthority),
    /// Without a right one there is no connection.
    Required(ClientAuthority),
}

/// Who signs the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// Certificates of the authorities.
    pub authorities: PathBuf,
    /// Revocation lists. With them, a certificate of a client whose issuer has no list there is
    /// refused; those of intermediate authorities are not checked, and a list that is out of date
    /// still counts.
    pub revoked: Option<PathBuf>,
}

/// The TLS of one or more listeners: what its files held when they were last read.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence for the operator, with the file that must change.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(server_config(&files)?));
        Ok(Self { files, current })
    }

    /// Reads the files again, for the connections to come: running ones stay as they are. No
    /// session of before is resumed, so that every client is checked by the new files.
    ///
    /// # Errors
    /// As [`Tls::load`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(server_config(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why files are no TLS configuration. The operator must change the file that is named.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file begins like PEM and is broken.
    #[error("{}: malformed PEM: {problem}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is broken.
        problem: &'static str,
    },
    /// The file holds something else.
    #[error("{}: expected {expected}, found {found}", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is.
        found: &'static str,
    },
    /// The key is not that of the certificate.
    #[error("{}: not the key of the first certificate in {}", key.display(), chain.display())]
    KeyMismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        chain: PathBuf,
    },
    /// What the file holds cannot be used.
    #[error("{}: cannot be used as {what}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why not.
        source: rustls::Error,
    },
    /// A revocation list cannot be used.
    #[error("{}: cannot be used as a revocation list", file.display())]
    Revoked {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: VerifierBuilderError,
    },
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3");
    let chain = Sections::read(&files.chain)?.certificates()?;
    let key = Sections::read(&files.key)?.key()?;
    let builder = match &files.clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Optional(authority) => {
            builder.with_client_cert_verifier(verifier(authority, Presence::Optional)?)
        }
        ClientCertificates::Required(authority) => {
            builder.with_client_cert_verifier(verifier(authority, Presence::Required)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| refused(error, files))?;
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_MAX);
    config.send_tls13_tickets = TICKETS_PER_CONNECTION;
    Ok(config)
}

/// Names the file that a refused pair of certificate and key is about.
fn refused(error: rustls::Error, files: &TlsFiles) -> TlsError {
    let (chain, key) = (files.chain.clone(), files.key.clone());
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { key, chain }
        }
        source @ rustls::Error::InvalidCertificate(_) => {
            TlsError::Unusable { file: chain, what: "a certificate", source }
        }
        source => TlsError::Unusable { file: key, what: "a private key", source },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

fn verifier(
    authority: &ClientAuthority,
    presence: Presence,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(roots(&authority.authorities)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider()));
    let builder = match &authority.revoked {
        Some(file) => {
            builder.with_crls(Sections::read(file)?.crls()?).only_check_end_entity_revocation()
        }
        None => builder,
    };
    let builder = match presence {
        Presence::Optional => builder.allow_unauthenticated(),
        Presence::Required => builder,
    };
    // Only a revocation list is left that it could refuse: there is at least one authority.
    let file = authority.revoked.as_ref().unwrap_or(&authority.authorities);
    builder.build().map_err(|source| TlsError::Revoked { file: file.clone(), source })
}

fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in Sections::read(file)?.certificates()? {
        roots.add(certificate).map_err(|source| TlsError::Unusable {
            file: file.to_owned(),
            what: "the certificate of an authority",
            source,
        })?;
    }
    Ok(roots)
}
