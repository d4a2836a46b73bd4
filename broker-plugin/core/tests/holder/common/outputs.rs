//! What a step caused, by kind.

use broker_core::holder::{Output, RouteChange};
use broker_core::host::HostEvent;
use ha_types::Message;
use ha_types::session::{ConnectionId, Eviction, Granted, PacketId, Queued, RefuseReason, Tell};

use super::Link;

/// What a message carries, as text.
pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into()
}

/// What a step caused.
#[derive(Debug)]
pub(crate) struct Outputs(pub(crate) Vec<Output>);

impl Outputs {
    /// What `chosen` makes of the outputs.
    fn pick<'a, T>(&'a self, chosen: impl Fn(&'a Output) -> Option<T>) -> Vec<T> {
        self.0.iter().filter_map(chosen).collect()
    }

    /// Everything for the engine of one connection.
    pub(crate) fn tells(&self, to: ConnectionId) -> Vec<&Tell> {
        self.pick(|output| match output {
            Output::Tell(connection, tell) if *connection == to => Some(tell),
            _ => None,
        })
    }

    /// What came unasked.
    pub(crate) fn delivered(&self, link: Link) -> Vec<&Queued> {
        let told = self.tells(link.connection).into_iter();
        told.filter_map(|tell| match tell {
            Tell::Deliver { session, queued } if *session == link.session => Some(queued),
            _ => None,
        })
        .collect()
    }

    /// The payloads of what came unasked.
    pub(crate) fn payloads(&self, link: Link) -> Vec<String> {
        self.delivered(link).iter().map(|queued| text(&queued.message)).collect()
    }

    /// The wills that are due, by payload.
    pub(crate) fn wills(&self) -> Vec<String> {
        self.pick(|output| match output {
            Output::Publish(message) => Some(text(message)),
            _ => None,
        })
    }

    /// Packet ids of the publishes that were answered.
    pub(crate) fn published(&self, link: Link) -> Vec<PacketId> {
        let told = self.tells(link.connection).into_iter();
        told.filter_map(|tell| match tell {
            Tell::Published { packet_id, outcome: Ok(()), .. } => Some(*packet_id),
            _ => None,
        })
        .collect()
    }

    /// The answer to a SUBSCRIBE.
    pub(crate) fn granted(&self, link: Link) -> Option<&Vec<Result<Granted, RefuseReason>>> {
        self.tells(link.connection).into_iter().find_map(|tell| match tell {
            Tell::Subscribed { granted, .. } => Some(granted),
            _ => None,
        })
    }

    /// The payloads of the retained messages that came with the answer to a SUBSCRIBE.
    pub(crate) fn unqueued(&self, link: Link) -> Vec<String> {
        let granted = self.granted(link).into_iter().flatten().flatten();
        let unqueued = granted.flat_map(|granted| &granted.unqueued);
        unqueued.map(|unqueued| text(&unqueued.message)).collect()
    }

    /// The answer to an UNSUBSCRIBE.
    pub(crate) fn existed(&self, link: Link) -> Option<&Vec<bool>> {
        self.tells(link.connection).into_iter().find_map(|tell| match tell {
            Tell::Unsubscribed { existed, .. } => Some(existed),
            _ => None,
        })
    }

    /// The answer to a progress that needs one: PUBRECs and PUBCOMPs.
    pub(crate) fn recorded(&self, link: Link) -> Option<(&[PacketId], &[PacketId])> {
        self.tells(link.connection).into_iter().find_map(|tell| match tell {
            Tell::Recorded { received, completed, .. } => Some((&received[..], &completed[..])),
            _ => None,
        })
    }

    pub(crate) fn is_evicted(&self, link: Link) -> bool {
        let evict = Tell::Evict { session: link.session, why: Eviction::TakenOver };
        self.tells(link.connection).contains(&&evict)
    }

    pub(crate) fn is_fenced(&self, link: Link) -> bool {
        self.tells(link.connection).contains(&&Tell::Fenced { session: link.session })
    }

    pub(crate) fn refused(&self, connection: ConnectionId) -> Option<RefuseReason> {
        self.tells(connection).into_iter().find_map(|tell| match tell {
            Tell::OpenRefused { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    /// Changes of the live routes: `+filter`, `-filter`, `-*`.
    pub(crate) fn routes(&self) -> Vec<String> {
        self.pick(|output| match output {
            Output::Route(RouteChange::Add { filter, .. }) => Some(format!("+{filter}")),
            Output::Route(RouteChange::Remove { filter, .. }) => Some(format!("-{filter}")),
            Output::Route(RouteChange::RemoveAll { .. }) => Some("-*".to_owned()),
            _ => None,
        })
    }

    /// Everything for the plugin.
    pub(crate) fn plugin(&self) -> Vec<&HostEvent> {
        self.pick(|output| match output {
            Output::Plugin(event) => Some(event),
            _ => None,
        })
    }
}
