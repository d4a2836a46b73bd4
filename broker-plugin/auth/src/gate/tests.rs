//! Who comes in, by what a client shows and what is configured.

use std::path::PathBuf;

use broker_core::access::Action;
use broker_core::codec::{Binary, Text};

use super::*;

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("broker-auth-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A file that is left behind harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}

const PASSWORDS: &str = include_str!("../../tests/passwords");

fn config() -> AuthConfig {
    AuthConfig {
        allow_anonymous: false,
        password_file: None,
        acl_file: None,
        certificate_user: CertificateUser::None,
        hash_threads: 1,
        hash_queue_max: 8,
    }
}

fn plain(user_name: Option<&str>, password: Option<&str>) -> Credentials {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Credentials {
        client_id: "c".into(),
        attempt: Attempt::Plain {
            user_name: user_name.map(|name| Text::parse(bytes(name)).unwrap()),
            password: password.map(|password| Binary::parse(bytes(password)).unwrap()),
        },
    }
}

fn admitted(user_name: Option<&str>) -> Verdict {
    let identity = Identity { client_id: "c".into(), user_name: user_name.map(Into::into) };
    Verdict::Admitted { identity, data: None }
}

#[tokio::test]
async fn without_any_source_nobody_comes_in() {
    let gate = Gate::open(config()).unwrap();
    assert_eq!(gate.judge(plain(None, None), None).await, Verdict::NotAuthorized);
    assert_eq!(gate.judge(plain(Some("a"), Some("b")), None).await, Verdict::BadCredentials);
}

#[tokio::test]
async fn anonymous_client_has_no_name_even_when_it_says_one() {
    let gate = Gate::open(AuthConfig { allow_anonymous: true, ..config() }).unwrap();
    assert_eq!(gate.judge(plain(None, None), None).await, admitted(None));
    assert_eq!(gate.judge(plain(Some("root"), Some("x")), None).await, admitted(None));
}

#[tokio::test]
async fn name_is_proved_by_its_password() {
    let file = File::new("names", PASSWORDS);
    for allow_anonymous in [false, true] {
        let password_file = Some(file.0.clone());
        let gate = Gate::open(AuthConfig { allow_anonymous, password_file, ..config() }).unwrap();
        let judge = |name, password| gate.judge(plain(Some(name), password), None);
        assert_eq!(judge("alice", Some("secret word")).await, admitted(Some("alice")));
        assert_eq!(judge("bob", Some("secret word")).await, admitted(Some("bob")));
        assert_eq!(judge("bob", Some("wrong")).await, Verdict::BadCredentials);
        assert_eq!(judge("bob", None).await, Verdict::BadCredentials);
        assert_eq!(judge("eve", Some("secret word")).await, Verdict::BadCredentials);
        let without_name = gate.judge(plain(None, None), None).await;
        assert_eq!(matches!(without_name, Verdict::Admitted { .. }), allow_anonymous);
    }
}

#[tokio::test]
async fn certificate_names_its_client_and_wins_over_what_connect_says() {
    let subject = Some(Subject { common_name: Some("plc-7"), subject: "CN=plc-7,O=plant" });
    let with = |certificate_user| Gate::open(AuthConfig { certificate_user, ..config() }).unwrap();
    let judge = async |gate: Gate, subject| gate.judge(plain(Some("root"), None), subject).await;
    let common_name = with(CertificateUser::CommonName);
    assert_eq!(judge(common_name.clone(), subject).await, admitted(Some("plc-7")));
    let whole = judge(with(CertificateUser::Subject), subject).await;
    assert_eq!(whole, admitted(Some("CN=plc-7,O=plant")));
    assert_eq!(judge(with(CertificateUser::None), subject).await, Verdict::BadCredentials);
    let nameless = Some(Subject { common_name: Some(""), subject: "" });
    assert_eq!(judge(common_name, nameless).await, Verdict::BadCredentials);
}

#[tokio::test]
async fn method_of_enhanced_authentication_is_unknown() {
    let gate = Gate::open(AuthConfig { allow_anonymous: true, ..config() }).unwrap();
    let method = Text::parse(Bytes::from_static(b"SCRAM-SHA-256")).unwrap();
    let attempt = Attempt::Begin { method, data: None };
    let credentials = Credentials { client_id: "c".into(), attempt };
    assert_eq!(gate.judge(credentials, None).await, Verdict::BadMethod);
}

#[tokio::test]
async fn files_are_read_again_and_a_wrong_one_changes_nothing() {
    let (passwords, acl) = (File::new("again", PASSWORDS), File::new("rules", "topic read a\n"));
    let files = AuthConfig {
        allow_anonymous: true,
        password_file: Some(passwords.0.clone()),
        acl_file: Some(acl.0.clone()),
        ..config()
    };
    let gate = Gate::open(files).unwrap();
    let who = Identity { client_id: "c".into(), user_name: None };
    let reads = |topic| gate.access().unwrap().allows(&who, Action::Receive(topic));
    assert!(reads("a") && !reads("b"));
    acl.write("topic read b\n");
    passwords.write("alice\n");
    let error = gate.reload().unwrap_err().to_string();
    assert!(error.ends_with(":1: expected user:hash"), "{error}");
    assert!(reads("a") && !reads("b"));
    passwords.write("");
    gate.reload().unwrap();
    assert!(reads("b") && !reads("a"));
    let verdict = gate.judge(plain(Some("alice"), Some("secret word")), None).await;
    assert_eq!(verdict, Verdict::BadCredentials);
}

#[test]
fn missing_file_is_told_by_its_name() {
    let password_file = Some(PathBuf::from("/nowhere/passwords"));
    let error = Gate::open(AuthConfig { password_file, ..config() }).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/passwords: cannot be read");
}
