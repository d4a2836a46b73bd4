//! The systems that are compared: how each is started, as its users would for this job.

use std::io;

use crate::loads::Kind;
use crate::site::{Server, Site};

mod aedes;
mod mosquitto;
mod nats;
mod ours;
mod rabbitmq;

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Addresses of its MQTT nodes.
    pub(crate) nodes: Vec<String>,
    /// The process behind each of them: a place in `servers`.
    pub(crate) serving: Vec<usize>,
    pub(crate) servers: Vec<Server>,
}

impl Running {
    /// So many nodes, each a server, at the first ports.
    fn nodes(
        count: u16,
        site: &Site,
        spawn: impl FnMut(u16) -> io::Result<Server>,
    ) -> io::Result<Self> {
        let servers = (0..count).map(spawn).collect::<io::Result<_>>()?;
        let nodes = (0..count).map(|node| site.address(node)).collect();
        Ok(Self { nodes, serving: (0..usize::from(count)).collect(), servers })
    }

    /// An error: one of them does not run.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        self.servers.iter_mut().try_for_each(Server::check)
    }

    /// The process behind a node.
    pub(crate) fn pid_of(&self, node: usize) -> u32 {
        self.servers[self.serving[node]].pid()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.servers.iter().map(Server::pid).collect()
    }
}

/// Who orders what is replicated, if that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    /// The process with this number serves no clients.
    Apart(u32),
    /// This node, which serves clients as well.
    Node(usize),
}

/// A system.
pub(crate) trait Peer {
    /// For the command line and the files.
    fn name(&self) -> &'static str;

    /// For tables.
    fn title(&self) -> &'static str;

    /// What its PUBACK promises.
    fn puback(&self) -> &'static str;

    /// How it is set up, where that is a choice.
    fn set_up(&self) -> &'static str;

    /// What its program calls itself. An error: it is not installed.
    fn version(&self, site: &Site) -> io::Result<String>;

    /// Starts all of its processes, for loads of this kind; they need not be ready.
    fn start(&self, site: &Site, kind: Kind) -> io::Result<Running>;

    /// `None`: there is no such thing. An error: it cannot be found.
    fn leader(&self, _site: &Site, _running: &Running) -> io::Result<Option<Leader>> {
        Ok(None)
    }
}

/// All of them, in the order of the tables.
pub(crate) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(ours::ALONE),
        Box::new(ours::ONE_AND_TWO),
        Box::new(ours::THREE_AND_TWO),
        Box::new(ours::THREE_AND_THREE),
        Box::new(mosquitto::Mosquitto::Alone),
        Box::new(mosquitto::Mosquitto::Bridged),
        Box::new(nats::Nats),
        Box::new(rabbitmq::RabbitMq),
        Box::new(aedes::Aedes),
    ]
}

/// The first line of a text that has this word, without what surrounds it.
fn line_with(text: &str, word: &str) -> Option<String> {
    text.lines().find(|line| line.contains(word)).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_words_and_no_two_peers_share_one() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|peer| peer.name()).collect();
        assert_eq!(names.len(), all.len());
        let is_word = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!(names.iter().all(is_word), "{names:?}");
    }
}
