#![expect(dead_code, reason = "every test file uses its part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use broker_listen::{
    Arrived, ClientAuthority, ClientCertificates, Listener, ListenerConfig, ListenerCounters,
    Phase, TlsFiles,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A listener that runs, and what it hands over.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) arrived: mpsc::Receiver<Arrived>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) counters: Arc<ListenerCounters>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

pub(crate) fn config() -> ListenerConfig {
    ListenerConfig::new("LISTENER", "127.0.0.1:0".parse().unwrap())
}

pub(crate) fn start(config: ListenerConfig) -> Running {
    start_in(config, Phase::Open)
}

pub(crate) fn start_in(config: ListenerConfig, phase: Phase) -> Running {
    let listener = Listener::bind(config).unwrap();
    let (address, counters) = (listener.address(), listener.counters());
    let (phase, phases) = watch::channel(phase);
    let (sender, arrived) = mpsc::channel(1);
    let task = tokio::spawn(listener.run(phases, sender));
    Running { address, arrived, phase, counters, task }
}

impl Running {
    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn next(&mut self) -> Arrived {
        self.arrived.recv().await.unwrap()
    }
}

/// Reads exactly as many bytes as are expected, and compares.
pub(crate) async fn expect(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).await.unwrap();
    assert_eq!(found, expected);
}

/// An own folder for the files of one test.
pub(crate) fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("listen-{}-{number}", std::process::id());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// An authority that signs certificates for both sides.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For `localhost`, with the common name and a serial number of its own.
    pub(crate) fn sign(&self, name: &str, serial: u64) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let certificate_pem = certificate.pem();
        Identity { certificate: certificate.der().clone(), certificate_pem, key }
    }

    /// A list that revokes one serial number.
    pub(crate) fn revoke(&self, serial: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// A client that trusts this authority, and shows `identity`.
    pub(crate) fn client(&self, identity: Option<&Identity>) -> TlsConnector {
        self.client_of(rustls::ALL_VERSIONS, identity)
    }

    /// As [`Authority::client`], and speaks these versions only.
    pub(crate) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder =
            ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![identity.certificate.clone()], key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    /// Writes what a listener needs to a folder.
    pub(crate) fn files(&self, server: &Identity, clients: ClientCertificates) -> TlsFiles {
        let folder = folder();
        let files =
            TlsFiles { chain: folder.join("chain.pem"), key: folder.join("key.pem"), clients };
        std::fs::write(&files.chain, &server.certificate_pem).unwrap();
        std::fs::write(&files.key, server.key.serialize_pem()).unwrap();
        files
    }

    /// This authority, as a listener names it.
    pub(crate) fn authority(&self, revoked: Option<String>) -> ClientAuthority {
        let folder = folder();
        let authorities = folder.join("authorities.pem");
        std::fs::write(&authorities, self.pem()).unwrap();
        let revoked = revoked.map(|list| {
            let file = folder.join("revoked.pem");
            std::fs::write(&file, list).unwrap();
            file
        });
        ClientAuthority { authorities, revoked }
    }
}

/// The handshake of a client that reaches for `localhost`.
pub(crate) async fn secure(
    client: &TlsConnector,
    stream: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    client.connect(ServerName::try_from("localhost").unwrap(), stream).await
}
