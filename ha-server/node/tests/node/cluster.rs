//! Nodes in one process, and a network between them that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ha_node::{
    Config, Durability, Failover, Limits, Member, Node, NodeId, Peers, ProposeError, StartError,
    Status, Unreachable,
};
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::key_values::KeyValues;

/// Nothing in a test takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

type Inbox = mpsc::Sender<(Bytes, oneshot::Sender<Bytes>)>;

/// Everything between the nodes.
#[derive(Default)]
pub(crate) struct Network {
    inboxes: Mutex<BTreeMap<NodeId, Inbox>>,
    cut: Mutex<BTreeSet<NodeId>>,
    /// Whoever tried to send since it was cut off.
    tried: watch::Sender<Vec<NodeId>>,
    /// How many requests of each node were carried.
    sent: watch::Sender<BTreeMap<NodeId, usize>>,
    /// What happens to a large request, after so many got through.
    disturbance: Mutex<Option<(usize, Disturbance)>>,
    disturbed: Notify,
    released: Notify,
}

#[derive(Clone, Copy)]
enum Disturbance {
    Lose,
    Hold,
}

/// What is larger can only be a part of a snapshot.
const LARGE: usize = 512 << 10;

/// The network as one node sees it.
pub(crate) struct Port {
    from: NodeId,
    network: Arc<Network>,
}

impl Network {
    fn check(&self, nodes: [NodeId; 2]) -> Result<(), Unreachable> {
        let cut = self.cut.lock().unwrap();
        if nodes.iter().any(|node| cut.contains(node)) {
            return Err(Unreachable("cut".to_owned()));
        }
        Ok(())
    }

    async fn disturb(&self, request: &Bytes) -> Result<(), Unreachable> {
        let happens = {
            let mut disturbance = self.disturbance.lock().unwrap();
            match disturbance.as_mut().filter(|_| request.len() > LARGE) {
                Some((0, happens)) => {
                    let happens = *happens;
                    *disturbance = None;
                    happens
                }
                Some((left, _)) => {
                    *left -= 1;
                    return Ok(());
                }
                None => return Ok(()),
            }
        };
        self.disturbed.notify_one();
        match happens {
            Disturbance::Lose => Err(Unreachable("lost".to_owned())),
            Disturbance::Hold => {
                self.released.notified().await;
                Ok(())
            }
        }
    }

    /// Loses one part of a snapshot, after so many got through.
    pub(crate) fn lose_large_after(&self, count: usize) {
        *self.disturbance.lock().unwrap() = Some((count, Disturbance::Lose));
    }

    /// Holds one part of a snapshot back until it is released, after so many got through.
    pub(crate) fn hold_large_after(&self, count: usize) {
        *self.disturbance.lock().unwrap() = Some((count, Disturbance::Hold));
    }

    /// Waits until a part was lost or held.
    pub(crate) async fn until_disturbed(&self) {
        bounded("a disturbance", self.disturbed.notified()).await;
    }

    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    /// Cuts a node off from all others.
    pub(crate) fn cut(&self, node: NodeId) {
        self.cut.lock().unwrap().insert(node);
    }

    /// Waits until a node that was cut off has sent so many requests in vain.
    pub(crate) async fn until_tried(&self, node: NodeId, times: usize) {
        let mut tried = self.tried.subscribe();
        let enough =
            tried.wait_for(|tried| tried.iter().filter(|by| **by == node).count() >= times);
        bounded("requests of the node that was cut off", enough).await.unwrap();
    }

    /// Waits until so many more requests of a node have been answered or lost on the way.
    pub(crate) async fn until_sent(&self, node: NodeId, more: usize) {
        let mut sent = self.sent.subscribe();
        let count = |sent: &BTreeMap<NodeId, usize>| sent.get(&node).copied().unwrap_or_default();
        let enough = count(&sent.borrow_and_update()) + more;
        let enough = sent.wait_for(|sent| count(sent) >= enough);
        bounded("requests of a node", enough).await.unwrap();
    }

    pub(crate) fn heal(&self) {
        self.cut.lock().unwrap().clear();
        self.tried.send_modify(Vec::clear);
    }
}

impl Peers for Port {
    async fn send(&self, to: &Member, request: Bytes) -> Result<Bytes, Unreachable> {
        if let Err(cut) = self.network.check([self.from, to.id]) {
            self.network.tried.send_modify(|tried| tried.push(self.from));
            return Err(cut);
        }
        self.network.disturb(&request).await?;
        let gone = || Unreachable("gone".to_owned());
        let inbox = self.network.inboxes.lock().unwrap().get(&to.id).cloned().ok_or_else(gone)?;
        let (answer, response) = oneshot::channel();
        inbox.send((request, answer)).await.map_err(|_| gone())?;
        let response = response.await.map_err(|_| gone())?;
        self.network.sent.send_modify(|sent| *sent.entry(self.from).or_default() += 1);
        self.network.check([self.from, to.id])?;
        Ok(response)
    }
}

/// A running node.
pub(crate) struct Running {
    pub(crate) node: Arc<Node<KeyValues>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Stops as a crash does. The files are closed afterwards.
    pub(crate) async fn kill(self) {
        self.serving.abort();
        let _ = self.serving.await;
        // What waits for an answer of the node is gone, so this is the last handle.
        drop(Arc::try_unwrap(self.node).expect("nobody else holds the node"));
    }

    pub(crate) async fn shutdown(self) {
        self.serving.abort();
        let _ = self.serving.await;
        let node = Arc::try_unwrap(self.node).expect("nobody else holds the node");
        node.shutdown().await.unwrap();
    }

    /// Waits until the node says so.
    pub(crate) async fn until(&self, what: &str, condition: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.node.watch();
        let met = tokio::time::timeout(PATIENCE, status.wait_for(condition)).await;
        match met {
            Ok(met) => met.unwrap().clone(),
            Err(_) => panic!("not met: {what}; {:?}", self.node),
        }
    }

    pub(crate) async fn until_applied(&self, index: u64) {
        self.until(&format!("{index} is applied"), |status| status.applied >= Some(index)).await;
    }

    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.node.read(|machine| machine.value(key.as_bytes()).map(<[u8]>::to_vec))
    }
}

/// Nodes with their directories, which outlive them.
pub(crate) struct Cluster {
    pub(crate) network: Arc<Network>,
    pub(crate) running: BTreeMap<NodeId, Running>,
    pub(crate) dirs: TempDir,
    pub(crate) limits: Limits,
    pub(crate) durability: Durability,
    pub(crate) failover: Failover,
    first: Vec<Member>,
}

pub(crate) fn member(id: u64) -> Member {
    Member { id: NodeId(id), address: format!("node {id}") }
}

impl Cluster {
    /// Nodes 1 to `size`, none of them running.
    pub(crate) fn of(size: u64) -> Self {
        Self::of_in(size, std::env::temp_dir())
    }

    /// The same, with their files in `dir` while the cluster lives.
    pub(crate) fn of_in(size: u64, dir: impl AsRef<Path>) -> Self {
        Self {
            network: Arc::default(),
            running: BTreeMap::new(),
            dirs: TempDir::new_in(dir).unwrap(),
            limits: Limits::default(),
            durability: Durability::Fsync,
            failover: Failover::Normal,
            first: (1..=size).map(member).collect(),
        }
    }

    /// Starts all first members.
    pub(crate) async fn start(mut self) -> Self {
        for member in self.first.clone() {
            self.run(member.id).await;
        }
        self
    }

    pub(crate) fn config(&self, id: NodeId) -> Config {
        let first = self.first.iter().any(|member| member.id == id);
        Config {
            cluster: "test".to_owned(),
            group: 0,
            node: id,
            members: if first { self.first.clone() } else { Vec::new() },
            directory: self.dirs.path().join(id.to_string()),
            failover: self.failover,
            durability: self.durability,
            limits: self.limits.clone(),
        }
    }

    pub(crate) async fn try_run(&mut self, config: Config) -> Result<(), StartError> {
        let id = config.node;
        let port = Port { from: id, network: Arc::clone(&self.network) };
        let node = Arc::new(Node::start(config, KeyValues::default(), port).await?);
        let (inbox, requests) = mpsc::channel(1_024);
        self.network.inboxes.lock().unwrap().insert(id, inbox);
        let serving = tokio::spawn(serve(Arc::clone(&node), requests));
        self.running.insert(id, Running { node, serving });
        Ok(())
    }

    /// Where a node has its files.
    pub(crate) fn dir(&self, id: NodeId) -> std::path::PathBuf {
        self.dirs.path().join(id.to_string())
    }

    /// Starts a node, for the first time or again.
    pub(crate) async fn run(&mut self, id: NodeId) {
        self.try_run(self.config(id)).await.unwrap();
    }

    /// Takes a node off the network, to be killed.
    pub(crate) fn take(&mut self, id: NodeId) -> Running {
        self.network.inboxes.lock().unwrap().remove(&id);
        self.running.remove(&id).unwrap()
    }

    pub(crate) async fn kill(&mut self, id: NodeId) {
        self.take(id).kill().await;
    }

    pub(crate) fn node(&self, id: NodeId) -> &Running {
        &self.running[&id]
    }

    /// Waits until one of the running nodes leads that `wanted` names.
    pub(crate) async fn leader_among(&self, wanted: impl Fn(NodeId) -> bool) -> &Running {
        let mut watching = JoinSet::new();
        for (&id, running) in self.running.iter().filter(|(id, _)| wanted(**id)) {
            let mut status = running.node.watch();
            watching.spawn(async move {
                status.wait_for(|status| status.is_leader).await.unwrap();
                id
            });
        }
        let first = tokio::time::timeout(PATIENCE, watching.join_next()).await;
        self.node(first.expect("nobody leads").unwrap().unwrap())
    }

    pub(crate) async fn leader(&self) -> &Running {
        self.leader_among(|_| true).await
    }

    pub(crate) async fn leader_id(&self) -> NodeId {
        self.leader().await.node.watch().borrow().leader.unwrap()
    }

    /// Proposes where it is accepted; returns the index.
    pub(crate) async fn propose(&self, command: Bytes) -> u64 {
        loop {
            match self.leader().await.node.propose(command.clone()).await {
                Ok((index, _)) => return index,
                Err(ProposeError::NotLeader { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn serve(
    node: Arc<Node<KeyValues>>,
    mut requests: mpsc::Receiver<(Bytes, oneshot::Sender<Bytes>)>,
) {
    // Ends with this task, so that a killed node answers nobody.
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some((request, answer)) = request else { return };
                let node = Arc::clone(&node);
                answering.spawn(async move {
                    let _ = answer.send(node.receive(request).await);
                });
            }
            Some(_) = answering.join_next() => (),
        }
    }
}

/// Fails a test that hangs.
pub(crate) async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("hangs: {what}"))
}
