//! Binds the gate to the session host.

use std::sync::Arc;

use broker_auth::{Gate, Subject};
use broker_core::access::Access;
use broker_core::engine::Credentials;
use session_host::{Admission, Judging, Origin};

/// The gate as the session host asks it.
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
