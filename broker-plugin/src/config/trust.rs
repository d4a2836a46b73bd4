//! Who is believed to be whom: certificates and passwords.

use std::path::PathBuf;

use broker_auth::{AuthConfig, CertificateUser};
use broker_listen::{ClientAuthority, ClientCertificates, TlsFiles};
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;

use super::schema::{AUTHENTICATION, CONFIG, TLS};

fn path(settings: &Settings, section: &str, key: &str) -> Option<PathBuf> {
    settings.if_set(section, key).map(|value| value.path().to_owned())
}

pub(super) fn tls(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    let is_used = |key| settings.if_set(CONFIG, key).is_some();
    if !is_used("TLS_PORT_NO") && !is_used("WSS_PORT_NO") {
        return Ok(None);
    }
    let needed = |key| {
        let missing = || settings.error_at(TLS, key, "TLS_PORT_NO and WSS_PORT_NO need it");
        path(settings, TLS, key).ok_or_else(missing)
    };
    let authority = || {
        let missing =
            || settings.error_at(TLS, "CLIENT_CERTIFICATE", "CA_FILE must say who signs them");
        let authorities = path(settings, TLS, "CA_FILE").ok_or_else(missing)?;
        Ok::<_, ConfigError>(ClientAuthority {
            authorities,
            revoked: path(settings, TLS, "CRL_FILE"),
        })
    };
    let clients = match settings.one_of(TLS, "CLIENT_CERTIFICATE") {
        "optional" => ClientCertificates::Optional(authority()?),
        "required" => ClientCertificates::Required(authority()?),
        _ => ClientCertificates::None,
    };
    Ok(Some(TlsFiles { chain: needed("CERT_FILE")?, key: needed("KEY_FILE")?, clients }))
}

pub(super) fn authentication(settings: &Settings) -> AuthConfig {
    AuthConfig {
        allow_anonymous: settings.flag(AUTHENTICATION, "ALLOW_ANONYMOUS"),
        password_file: path(settings, AUTHENTICATION, "PASSWORD_FILE"),
        acl_file: path(settings, AUTHENTICATION, "ACL_FILE"),
        certificate_user: match settings.one_of(AUTHENTICATION, "CERTIFICATE_USER") {
            "common_name" => CertificateUser::CommonName,
            "subject" => CertificateUser::Subject,
            _ => CertificateUser::None,
        },
        hash_threads: settings.integer(AUTHENTICATION, "HASH_THREADS"),
        hash_queue_max: settings.integer(AUTHENTICATION, "HASH_QUEUE_MAX"),
    }
}
