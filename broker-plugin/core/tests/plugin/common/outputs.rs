//! What a step caused, by kind.

use broker_core::host::{Delivery, HostCommand};
use broker_core::{Close, Event, Output, StreamId, Target};
use ha_types::Message;
use ha_types::link::{Needs, Upstream};

/// `topic=payload`
pub(crate) fn shown(message: &Message) -> String {
    format!("{}={}", message.topic, String::from_utf8_lossy(&message.payload))
}

/// What a step caused.
#[derive(Debug, PartialEq)]
pub(crate) struct Outputs(pub(crate) Vec<Output>);

impl Outputs {
    /// What `chosen` makes of the outputs.
    fn pick<'a, T>(&'a self, chosen: impl Fn(&'a Output) -> Option<T>) -> Vec<T> {
        self.0.iter().filter_map(chosen).collect()
    }

    /// The items for ha-server.
    pub(crate) fn sent(&self) -> Vec<&Upstream> {
        self.pick(|output| match output {
            Output::Send(_, item) => Some(item),
            _ => None,
        })
    }

    /// The publishes for ha-server: number (zero: none) and payload.
    pub(crate) fn publishes(&self) -> Vec<(u64, String)> {
        self.pick(|output| match output {
            Output::Send(_, Upstream::Publish { number, exchange: None, message }) => {
                Some((number.map_or(0, |n| n.0), String::from_utf8_lossy(&message.payload).into()))
            }
            _ => None,
        })
    }

    /// The announcements: ticket and filters.
    pub(crate) fn announced(&self) -> Vec<(u64, Vec<&str>)> {
        self.pick(|output| match output {
            Output::Send(_, Upstream::Announce { ticket, needs: Needs::All, filters }) => {
                Some((ticket.0, filters.iter().map(|filter| filter.as_str()).collect()))
            }
            _ => None,
        })
    }

    pub(crate) fn withdrawn(&self) -> Vec<&str> {
        let items = self.pick(|output| match output {
            Output::Send(_, Upstream::Withdraw { filters }) => Some(filters),
            _ => None,
        });
        items.into_iter().flatten().map(|filter| filter.as_str()).collect()
    }

    /// The SUBSCRIBEs that were answered, with the retained payloads of each subscription.
    pub(crate) fn subscribed(&self) -> Vec<(u64, Vec<Vec<String>>)> {
        let texts = |found: &Vec<Delivery>| found.iter().map(|d| shown(&d.message)).collect();
        self.pick(|output| match output {
            Output::Host(HostCommand::Subscribed { ticket, retained }) => {
                Some((ticket.0, retained.iter().map(texts).collect()))
            }
            _ => None,
        })
    }

    pub(crate) fn refused(&self) -> Vec<u64> {
        self.pick(|output| match output {
            Output::Host(HostCommand::SubscribeRefused { ticket }) => Some(ticket.0),
            _ => None,
        })
    }

    pub(crate) fn delivered(&self) -> Vec<&Delivery> {
        self.pick(|output| match output {
            Output::Host(HostCommand::Deliver(delivery)) => Some(delivery),
            _ => None,
        })
    }

    pub(crate) fn notes(&self) -> Vec<&Event> {
        self.pick(|output| match output {
            Output::Note(event) => Some(event),
            _ => None,
        })
    }

    /// Sequence numbers of the heartbeats.
    pub(crate) fn heartbeats(&self) -> Vec<u64> {
        self.pick(|output| match output {
            Output::Heartbeat(_, _, sequence) => Some(*sequence),
            _ => None,
        })
    }

    pub(crate) fn closed(&self) -> Vec<(StreamId, Close)> {
        self.pick(|output| match output {
            Output::Close(stream, how) => Some((*stream, *how)),
            _ => None,
        })
    }

    /// The places of the configured addresses that were dialled.
    pub(crate) fn dialled(&self) -> Vec<usize> {
        self.pick(|output| match output {
            Output::Dial(_, Target::Configured(address)) => Some(address.0),
            _ => None,
        })
    }

    /// Why the plugin detached or was fenced, and how long it waits.
    pub(crate) fn left(&self) -> Option<(&str, u64)> {
        self.notes().into_iter().find_map(|event| match event {
            Event::Detached(detail, ms) | Event::Fenced(detail, ms) => Some((&**detail, *ms)),
            _ => None,
        })
    }
}
