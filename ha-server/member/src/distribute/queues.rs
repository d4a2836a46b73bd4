//! What waits to be written, for each open stream.

use std::collections::BTreeMap;

use ha_core::StreamId;
use ha_types::link::{Downstream, Goodbye, GoodbyeReason};
use tokio::sync::{mpsc, oneshot};

/// An item and what it weighs.
pub type Weighed = (Downstream, usize);

/// The distributor's end of a stream. The stream ends when it is dropped and all is written.
#[derive(Debug)]
pub struct Queue {
    /// Never full: the distributor counts what it sent.
    pub items: mpsc::UnboundedSender<Weighed>,
    /// Tells the writer of the end also while it waits for the network.
    _ended: oneshot::Sender<()>,
}

/// The writer's end of a stream.
#[derive(Debug)]
pub struct QueueOut {
    /// In order.
    pub items: mpsc::UnboundedReceiver<Weighed>,
    /// Resolves when nothing more will come.
    pub ended: oneshot::Receiver<()>,
}

/// Both ends of a stream's queue.
#[must_use]
pub fn queue() -> (Queue, QueueOut) {
    let (items, items_out) = mpsc::unbounded_channel();
    let (sender, ended) = oneshot::channel();
    (Queue { items, _ended: sender }, QueueOut { items: items_out, ended })
}

/// The open streams. Their number is bounded by the service, their length by the distributor's own
/// count of what was sent and not written.
#[derive(Debug, Default)]
pub(super) struct Queues {
    open: BTreeMap<StreamId, (Queue, String)>,
}

impl Queues {
    pub(super) fn insert(&mut self, stream: StreamId, address: String, queue: Queue) {
        self.open.insert(stream, (queue, address));
    }

    pub(super) fn send(&self, stream: StreamId, item: Downstream, bytes: usize) {
        if let Some((queue, _)) = self.open.get(&stream) {
            // A stream whose writer is gone reports itself as broken.
            let _ = queue.items.send((item, bytes));
        }
    }

    pub(super) fn end(&mut self, stream: StreamId) {
        self.open.remove(&stream);
    }

    /// Ends a stream with its reason.
    pub(super) fn refuse(&mut self, stream: StreamId, goodbye: Goodbye) {
        self.send(stream, Downstream::Goodbye(goodbye), 0);
        self.end(stream);
    }

    /// Ends all streams up to this one.
    pub(super) fn refuse_upto(&mut self, last: StreamId, goodbye: &Goodbye) {
        while let Some((&stream, _)) = self.open.first_key_value()
            && stream <= last
        {
            self.refuse(stream, goodbye.clone());
        }
    }

    /// The one that was opened last.
    pub(super) fn last(&self) -> StreamId {
        self.open.last_key_value().map_or(StreamId(0), |(&stream, _)| stream)
    }

    /// All open streams with their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (StreamId, &str)> {
        self.open.iter().map(|(&stream, (_, address))| (stream, address.as_str()))
    }
}

/// Why a server that does not lead ends a stream.
pub(super) fn not_leader(leader: Option<String>) -> Goodbye {
    let detail = match &leader {
        Some(leader) => format!("the ha-server at {leader} leads"),
        None => "no ha-server leads at the moment".to_owned(),
    };
    Goodbye { reason: GoodbyeReason::NotLeader, detail, leader }
}

/// Why a server that stops ends a stream.
pub(super) fn shutting_down() -> Goodbye {
    let detail = "ha-server stops".to_owned();
    Goodbye { reason: GoodbyeReason::ShuttingDown, detail, leader: None }
}
