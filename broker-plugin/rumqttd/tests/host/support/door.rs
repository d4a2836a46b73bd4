//! A fake judge of credentials, and rules that a test changes.

use std::sync::{Arc, Mutex};

use broker_core::access::{Access, Action, AllowAll, Identity};
use rumqttd_host::{Admission, Admitting, Credentials, Verdict};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::PATIENCE;

/// Judges by the user name: `bad`, `forbidden`, `busy` and `slow` do not come in.
#[derive(Debug)]
pub(crate) struct Door {
    access: Mutex<Arc<dyn Access>>,
    seen: Mutex<Vec<Credentials>>,
    asked: Notify,
    waits_for: Option<Arc<Notify>>,
}

impl Door {
    pub(crate) fn with(access: impl Access + 'static) -> Arc<Self> {
        Arc::new(Self::new(access, None))
    }

    pub(crate) fn that_waits_for(judged: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self::new(AllowAll, Some(judged)))
    }

    fn new(access: impl Access + 'static, waits_for: Option<Arc<Notify>>) -> Self {
        Self {
            access: Mutex::new(Arc::new(access)),
            seen: Mutex::default(),
            asked: Notify::new(),
            waits_for,
        }
    }

    /// The next client has sent its CONNECT.
    pub(crate) async fn asked(&self) {
        timeout(PATIENCE, self.asked.notified()).await.expect("nobody asked");
    }

    pub(crate) fn open() -> Arc<Self> {
        Self::with(AllowAll)
    }

    pub(crate) fn change_rules(&self, access: impl Access + 'static) {
        *self.access.lock().unwrap() = Arc::new(access);
    }

    pub(crate) fn seen(&self) -> Vec<Credentials> {
        self.seen.lock().unwrap().clone()
    }
}

impl Admission for Door {
    fn admit(&self, credentials: Credentials) -> Admitting {
        self.seen.lock().unwrap().push(credentials.clone());
        self.asked.notify_one();
        let Credentials { client_id, user_name, .. } = credentials;
        let waits_for = self.waits_for.clone();
        Box::pin(async move {
            if let Some(judged) = waits_for {
                judged.notified().await;
            }
            match user_name.as_deref() {
                Some("bad") => Verdict::BadCredentials,
                Some("forbidden") => Verdict::NotAuthorized,
                Some("busy") => Verdict::Busy,
                Some("slow") => std::future::pending().await,
                _ => Verdict::Admitted(Identity { client_id, user_name }),
            }
        })
    }

    fn access(&self) -> Arc<dyn Access> {
        Arc::clone(&self.access.lock().unwrap())
    }
}

/// Everything is allowed but what is named here, to everybody but the user `root`.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) no_publish: &'static str,
    pub(crate) no_subscribe: &'static str,
    pub(crate) no_receive: &'static str,
}

impl Access for Rules {
    fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        let (forbidden, topic) = match action {
            Action::Publish(topic) => (self.no_publish, topic),
            Action::Subscribe(filter) => (self.no_subscribe, filter),
            Action::Receive(topic) => (self.no_receive, topic),
        };
        who.user_name.as_deref() == Some("root") || topic != forbidden
    }
}
