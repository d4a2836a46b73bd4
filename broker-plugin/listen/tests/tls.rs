//! TLS: who is let in, and what a reload changes.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use broker_listen::{ClientCertificates, ClientStream, ListenerConfig, Tls, TlsError, TlsFiles};
use common::{Authority, Identity, Running, config, expect, folder, secure, start};
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

struct Setup {
    authority: Authority,
    files: TlsFiles,
    tls: Arc<Tls>,
    running: Running,
}

fn setup(clients: impl FnOnce(&Authority) -> ClientCertificates) -> Setup {
    let authority = Authority::new("our authority");
    let files = authority.files(&authority.sign("broker", 1), clients(&authority));
    let tls = Arc::new(Tls::load(files.clone()).unwrap());
    let running = start(ListenerConfig { tls: Some(Arc::clone(&tls)), ..config() });
    Setup { authority, files, tls, running }
}

impl Setup {
    /// Dials and says something; whether the broker can answer.
    async fn reaches(&mut self, client: &TlsConnector) -> bool {
        let (address, failed) = (self.running.address, self.running.counters.stats().failed);
        let client = async {
            let mut stream = secure(client, TcpStream::connect(address).await?).await?;
            // A client of TLS 1.3 is done before the broker has seen its certificate.
            stream.write_all(b"?").await?;
            stream.read_u8().await
        };
        let broker = async {
            while self.running.counters.stats().failed == failed {
                if let Ok(mut arrived) = self.running.arrived.try_recv() {
                    arrived.stream.write_all(b"!").await.unwrap();
                    arrived.stream.flush().await.unwrap();
                    return Some(arrived);
                }
                tokio::task::yield_now().await;
            }
            None
        };
        let (answer, arrived) = tokio::join!(client, broker);
        assert_eq!(answer.is_ok(), arrived.is_some());
        arrived.is_some()
    }

    /// The certificate that the broker shows to a new connection.
    async fn shown(&mut self) -> CertificateDer<'static> {
        let client = self.authority.client(None);
        let stream = secure(&client, self.running.dial().await).await.unwrap();
        self.running.next().await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    fn replace(&self, server: &Identity) {
        std::fs::write(&self.files.chain, &server.certificate_pem).unwrap();
        std::fs::write(&self.files.key, server.key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_the_wanted_name_is_known() {
    let mut setup = setup(|_| ClientCertificates::None);
    let client = setup.authority.client(None);
    let mut client = secure(&client, setup.running.dial().await).await.unwrap();
    let mut arrived = setup.running.next().await;
    assert!(matches!(arrived.stream, ClientStream::Tls(_)));
    assert_eq!(arrived.server_name.as_deref(), Some("localhost"));
    assert_eq!(arrived.certificate, None);
    client.write_all(&[7; 100_000]).await.unwrap();
    client.flush().await.unwrap();
    expect(&mut arrived.stream, &[7; 100_000]).await;
    arrived.stream.write_all(b"last").await.unwrap();
    drop(tokio::spawn(broker_listen::close(arrived.stream, std::time::Duration::from_secs(9))));
    let mut last = Vec::new();
    // An end without close_notify would be an error.
    client.read_to_end(&mut last).await.unwrap();
    assert_eq!(last, b"last");
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let mut setup = setup(|_| ClientCertificates::None);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = setup.authority.client_of(&[version], None);
        let _client = secure(&client, setup.running.dial().await).await.unwrap();
        let ClientStream::Tls(stream) = setup.running.next().await.stream else { panic!() };
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_required_tells_who_the_client_is() {
    let mut setup = setup(|ours| ClientCertificates::Required(ours.authority(None)));
    let client = setup.authority.client(Some(&setup.authority.sign("meter-7", 7)));
    let _client = secure(&client, setup.running.dial().await).await.unwrap();
    let subject = setup.running.next().await.certificate.unwrap();
    assert_eq!(subject.common_name.as_deref(), Some("meter-7"));
    assert_eq!(subject.distinguished_name.as_deref(), Some("CN=meter-7,O=Example"));
}

#[tokio::test]
async fn without_a_required_certificate_or_with_a_strangers_nobody_arrives() {
    let mut setup = setup(|ours| ClientCertificates::Required(ours.authority(None)));
    let (with, without) =
        (setup.authority.client(Some(&setup.authority.sign("a", 7))), setup.authority.client(None));
    let stranger = Authority::new("somebody").sign("a", 7);
    let stranger = setup.authority.client(Some(&stranger));
    assert!(setup.reaches(&with).await);
    assert!(!setup.reaches(&without).await);
    assert!(!setup.reaches(&stranger).await);
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let mut setup = setup(|ours| ClientCertificates::Optional(ours.authority(None)));
    let (with, without) =
        (setup.authority.client(Some(&setup.authority.sign("a", 7))), setup.authority.client(None));
    let stranger = Authority::new("somebody").sign("a", 7);
    let stranger = setup.authority.client(Some(&stranger));
    assert!(setup.reaches(&with).await);
    assert!(setup.reaches(&without).await);
    assert!(!setup.reaches(&stranger).await);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_others_are_not() {
    let mut setup =
        setup(|ours| ClientCertificates::Required(ours.authority(Some(ours.revoke(7)))));
    let revoked = setup.authority.client(Some(&setup.authority.sign("a", 7)));
    let other = setup.authority.client(Some(&setup.authority.sign("a", 8)));
    assert!(!setup.reaches(&revoked).await);
    assert!(setup.reaches(&other).await);
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_leaves_running_connections_alone() {
    let mut setup = setup(|_| ClientCertificates::None);
    let client = setup.authority.client(None);
    let mut old = secure(&client, setup.running.dial().await).await.unwrap();
    let mut arrived = setup.running.next().await;
    let fresh = setup.authority.sign("broker", 2);
    setup.replace(&fresh);
    assert_ne!(setup.shown().await, fresh.certificate, "not before the reload");
    setup.tls.reload().unwrap();
    assert_eq!(setup.shown().await, fresh.certificate);
    arrived.stream.write_all(b"still here").await.unwrap();
    arrived.stream.flush().await.unwrap();
    expect(&mut old, b"still here").await;
}

#[tokio::test]
async fn a_reload_that_fails_keeps_what_was_and_says_what_is_wrong() {
    let mut setup = setup(|_| ClientCertificates::None);
    let before = setup.shown().await;
    let stranger = setup.authority.sign("broker", 2);
    std::fs::write(&setup.files.chain, &stranger.certificate_pem).unwrap();
    let error = setup.tls.reload().unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
    assert_eq!(setup.shown().await, before);
}

#[tokio::test]
async fn a_session_is_resumed_and_still_tells_who_the_client_is() {
    let mut setup = setup(|ours| ClientCertificates::Required(ours.authority(None)));
    let client = setup.authority.client(Some(&setup.authority.sign("meter-7", 7)));
    assert!(setup.reaches(&client).await);
    let again = secure(&client, setup.running.dial().await).await.unwrap();
    assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    let subject = setup.running.next().await.certificate.unwrap();
    assert_eq!(subject.common_name.as_deref(), Some("meter-7"));
}

/// A session from before must not go round a certificate that has been revoked since.
#[tokio::test]
async fn a_client_that_is_revoked_by_a_reload_cannot_resume_its_session() {
    let mut setup =
        setup(|ours| ClientCertificates::Required(ours.authority(Some(ours.revoke(9)))));
    let client = setup.authority.client(Some(&setup.authority.sign("a", 7)));
    assert!(setup.reaches(&client).await);
    let ClientCertificates::Required(authority) = &setup.files.clients else { unreachable!() };
    std::fs::write(authority.revoked.as_ref().unwrap(), setup.authority.revoke(7)).unwrap();
    assert!(setup.reaches(&client).await, "not before the reload");
    setup.tls.reload().unwrap();
    assert!(!setup.reaches(&client).await);
}

fn error_of(files: TlsFiles) -> String {
    let error = Tls::load(files).unwrap_err();
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[test]
fn errors_name_the_file_and_what_is_in_it() {
    let authority = Authority::new("our authority");
    let (ours, other) = (authority.sign("a", 1), authority.sign("b", 2));
    let none = || authority.files(&ours, ClientCertificates::None);
    let with_chain = |text: &str| {
        let files = none();
        std::fs::write(&files.chain, text).unwrap();
        error_of(files)
    };
    let with_key = |text: &str| {
        let files = none();
        std::fs::write(&files.key, text).unwrap();
        error_of(files)
    };
    let key = other.key.serialize_pem();
    let ends = |text: String, end: &str| assert!(text.ends_with(end), "{text}");
    ends(
        with_chain(&key),
        "chain.pem: expected a certificate (BEGIN CERTIFICATE), found a private key",
    );
    ends(with_chain(""), "chain.pem: expected a certificate (BEGIN CERTIFICATE), found no PEM");
    ends(
        with_chain("-----BEGIN CERTIFICATE-----\nMII"),
        "chain.pem: malformed PEM: a BEGIN line without its END line",
    );
    ends(
        with_key(&other.certificate_pem),
        "key.pem: expected a private key (BEGIN PRIVATE KEY), found a certificate",
    );
    assert!(with_key(&key.replace("PRIVATE", "ENCRYPTED PRIVATE")).contains("decrypt it"));
    assert!(with_key(&key).contains("key.pem: not the key of the first certificate in"));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(with_chain(garbage).contains("chain.pem: cannot be used as a certificate: "));
    let garbage = garbage.replace("CERTIFICATE", "PRIVATE KEY");
    assert!(with_key(&garbage).contains("key.pem: cannot be used as a private key: "));
    let missing = TlsFiles { chain: folder().join("nowhere.pem"), ..none() };
    assert!(error_of(missing).contains("nowhere.pem: cannot be read: "));
}

#[test]
fn errors_of_the_authority_name_its_files() {
    let authority = Authority::new("our authority");
    let ours = authority.sign("a", 1);
    let load = |revoked: Option<&str>, spoil: &dyn Fn(&Path)| {
        let named = authority.authority(revoked.map(str::to_owned));
        spoil(&named.authorities);
        error_of(authority.files(&ours, ClientCertificates::Required(named)))
    };
    let empty = load(None, &|file| std::fs::write(file, "").unwrap());
    assert!(empty.contains("authorities.pem: expected a certificate"), "{empty}");
    let no_list = load(Some(&ours.certificate_pem), &|_| ());
    assert!(no_list.contains("revoked.pem: expected a revocation list"), "{no_list}");
    let garbage = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let broken = load(Some(garbage), &|_| ());
    assert!(broken.contains("revoked.pem: cannot be used as a revocation list: "), "{broken}");
}
