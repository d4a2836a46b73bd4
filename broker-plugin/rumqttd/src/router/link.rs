//! Links into the router: how they are opened, fed and closed.
//!
//! A link is opened by one thread of ours, because rumqttd blocks until its router answers, for
//! ever if the router dies at the wrong moment. A link is always closed by a DISCONNECT of ours.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::Packet;
use rumqttd::{Router, RouterConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::envelope;

/// Links that may wait to be opened; more wait in their connections.
const OPENING_MAX: usize = 256;

/// The router answers within microseconds. This long without an answer, it is dead or stuck.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The router's thread has ended: this process can serve nobody any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rumqttd router has died")]
pub(crate) struct RouterGone;

/// What becomes of what the router remembers under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkPlan {
    /// Forget what was before, and forget this at the end.
    Ephemeral,
    /// Forget what was before, and remember this.
    NewDurable,
    /// Go on with what was before, and remember this.
    Resume,
}

/// A link's two halves.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) link: SharedLink,
    pub(crate) notifications: LinkRx,
}

/// The sending half, which the injector borrows to subscribe at the right moment.
#[derive(Clone, Debug)]
pub(crate) struct SharedLink(Arc<Mutex<Link>>);

struct Link {
    tx: LinkTx,
    closed: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl SharedLink {
    fn new(tx: LinkTx) -> Self {
        Self(Arc::new(Mutex::new(Link { tx, closed: false })))
    }

    /// Hands packets to the router, in order. Ignored on a closed link.
    pub(crate) fn push(&self, packets: Vec<Packet>) -> Result<(), RouterGone> {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if link.closed { Ok(()) } else { link.push(packets) }
    }

    /// Packets that the router has not taken yet.
    pub(crate) fn backlog(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tx.buffer().len()
    }

    /// Leaves the link to the router, which ends it when its name is used again.
    pub(crate) fn abandon(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }

    /// Ends the link. What was pushed before is still taken.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).close();
    }
}

impl Link {
    fn push(&mut self, mut packets: Vec<Packet>) -> Result<(), RouterGone> {
        let Some(last) = packets.pop() else { return Ok(()) };
        self.tx.buffer().extend(packets);
        // The future never waits: rumqttd sends into a channel that the router drains.
        match poll_once(self.tx.send(last)) {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(_)) => Err(RouterGone),
        }
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            // A dead router has closed every link already.
            let _ = self.push(vec![envelope::disconnect()]);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

/// Polls a future that is ready or that may be dropped; `None` when it is not ready.
pub(crate) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

struct Request {
    name: String,
    plan: LinkPlan,
    reply: oneshot::Sender<Result<Opened, RouterGone>>,
}

/// Opens links. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LinkMaker {
    requests: mpsc::Sender<Request>,
}

impl LinkMaker {
    /// Starts the router and the thread that opens its links.
    pub(crate) fn start(config: RouterConfig) -> std::io::Result<Self> {
        let (requests, mut queue) = mpsc::channel::<Request>(OPENING_MAX);
        let router = Router::new(0, config).spawn();
        let open = move |name: &str, clean: bool| {
            let builder = LinkBuilder::new(name, router.clone()).clean_session(clean);
            let (tx, notifications, _) =
                builder.topic_alias_max(0).build().map_err(|_| RouterGone)?;
            Ok(Opened { link: SharedLink::new(tx), notifications })
        };
        std::thread::Builder::new().name("rumqttd-links".to_owned()).spawn(move || {
            while let Some(Request { name, plan, reply }) = queue.blocking_recv() {
                // A link that nobody waits for any more closes when it is dropped.
                let _ = reply.send(open_as_planned(&open, &name, plan));
            }
        })?;
        Ok(Self { requests })
    }

    /// Opens a link. A name must not have two links at a time.
    pub(crate) async fn open(&self, name: &str, plan: LinkPlan) -> Result<Opened, RouterGone> {
        let (reply, answer) = oneshot::channel();
        let request = Request { name: name.to_owned(), plan, reply };
        let opened = timeout(OPEN_TIMEOUT, async {
            self.requests.send(request).await.map_err(|_| RouterGone)?;
            answer.await.map_err(|_| RouterGone)?
        });
        opened.await.unwrap_or(Err(RouterGone))
    }
}

fn open_as_planned(
    open: &impl Fn(&str, bool) -> Result<Opened, RouterGone>,
    name: &str,
    plan: LinkPlan,
) -> Result<Opened, RouterGone> {
    match plan {
        LinkPlan::Ephemeral => open(name, true),
        LinkPlan::Resume => open(name, false),
        LinkPlan::NewDurable => {
            // A clean link makes the router forget. It closes here, before the next one opens.
            drop(open(name, true)?);
            open(name, false)
        }
    }
}
