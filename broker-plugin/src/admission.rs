//! Binds the gate to both hosts.

use std::sync::Arc;

use broker_auth::{Gate, Subject};
use broker_core::access::{Access, AllowAll};
use broker_core::codec::{Binary, Text};
use broker_core::engine::{Attempt, Credentials, Verdict};
use bytes::Bytes;
use session_host::{Admission, Judging, Origin};

/// The gate as the hosts ask it.
#[derive(Debug)]
pub(crate) struct Doorkeeper(pub(crate) Gate);

impl Admission for Doorkeeper {
    fn judge(&self, origin: &Origin, credentials: Credentials) -> Judging {
        let (gate, certificate) = (self.0.clone(), origin.certificate.clone());
        Box::pin(async move {
            let subject = certificate.as_deref().map(|certificate| Subject {
                common_name: certificate.common_name.as_deref(),
                subject: &certificate.subject,
            });
            gate.judge(credentials, subject).await
        })
    }

    fn access(&self) -> Option<Arc<dyn Access>> {
        self.0.access()
    }
}

impl rumqttd_host::Admission for Doorkeeper {
    fn admit(&self, shown: rumqttd_host::Credentials) -> rumqttd_host::Admitting {
        let gate = self.0.clone();
        Box::pin(async move {
            let text = |name: Arc<str>| Text::parse(Bytes::copy_from_slice(name.as_bytes())).ok();
            let attempt = Attempt::Plain {
                user_name: shown.user_name.and_then(text),
                password: shown.password.and_then(|password| Binary::parse(password).ok()),
            };
            let credentials = Credentials { client_id: shown.client_id, attempt };
            let subject = shown.origin.certificate.as_ref().map(|certificate| Subject {
                common_name: certificate.common_name.as_deref(),
                subject: &certificate.subject,
            });
            match gate.judge(credentials, subject).await {
                Verdict::Admitted { identity, .. } => rumqttd_host::Verdict::Admitted(identity),
                Verdict::BadCredentials => rumqttd_host::Verdict::BadCredentials,
                Verdict::Busy => rumqttd_host::Verdict::Busy,
                Verdict::NotAuthorized | Verdict::BadMethod | Verdict::Challenge { .. } => {
                    rumqttd_host::Verdict::NotAuthorized
                }
            }
        })
    }

    fn access(&self) -> Arc<dyn Access> {
        self.0.access().unwrap_or_else(|| Arc::new(AllowAll))
    }
}
