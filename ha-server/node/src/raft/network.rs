//! Raft's requests to other nodes.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ha_proto::raft::request::Body;
use ha_proto::raft::{self as proto, response};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinHandle};
use tokio::time;

use super::applier::{RaftSnapshot, SnapshotData};
use super::types::{Types, Vote, member};
use super::wire::{self, Malformed};
use crate::error::StoreError;
use crate::peers::{Member, Peers};
use crate::status::Status;
use crate::store::{Digest, stream_records};

/// Until a node has written a part of a snapshot.
const PART_TIMEOUT: Duration = Duration::from_secs(10);
/// Until a node has loaded a whole snapshot.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
/// Parts that are read ahead of the network.
const PARTS_AHEAD: usize = 2;

/// Who asks, for the head of each request.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) cluster: String,
    pub(crate) group: u32,
    pub(crate) node: u64,
    /// Until a node must have answered an append with entries.
    pub(crate) append_timeout: Duration,
}

/// Makes a client for each node.
pub(crate) struct Network<P> {
    pub(crate) peers: Arc<P>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) status: watch::Receiver<Status>,
}

/// Requests to one node.
pub(crate) struct Client<P> {
    peers: Arc<P>,
    sender: Arc<Sender>,
    /// As it was known when Raft made this client.
    to: Member,
    /// Knows where it is now.
    status: watch::Receiver<Status>,
}

type Failed = RPCError<Types>;

fn unreachable(reason: impl ToString) -> Failed {
    RPCError::Unreachable(Unreachable::from_string(reason))
}

impl<P: Peers> RaftNetworkFactory<Types> for Network<P> {
    type Network = Client<P>;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Client<P> {
        let (peers, sender) = (Arc::clone(&self.peers), Arc::clone(&self.sender));
        Client { peers, sender, to: member(target, node), status: self.status.clone() }
    }
}

impl<P> Clone for Network<P> {
    fn clone(&self) -> Self {
        let (peers, sender) = (Arc::clone(&self.peers), Arc::clone(&self.sender));
        Self { peers, sender, status: self.status.clone() }
    }
}

impl<P: Peers> Network<P> {
    /// Asks a node how far it is.
    pub(crate) async fn inquire(&self, to: Member) -> Result<proto::Standing, Failed> {
        let (peers, sender) = (Arc::clone(&self.peers), Arc::clone(&self.sender));
        let timeout = sender.append_timeout;
        let client = Client { peers, sender, to, status: self.status.clone() };
        match client.ask(Body::Inquiry(proto::Inquiry {}), timeout).await? {
            response::Body::Standing(standing) => {
                wire::take_log_id(standing.last).map_err(unreachable)?;
                if standing.term > wire::NUMBER_MAX {
                    return Err(unreachable("a term that no election reaches"));
                }
                wire::take_stored_membership(standing.membership.clone()).map_err(unreachable)?;
                Ok(standing)
            }
            _ => Err(unreachable("not the response to an inquiry")),
        }
    }
}

impl<P: Peers> Client<P> {
    fn to(&self) -> Member {
        let known = self.status.borrow().member(self.to.id).cloned();
        known.unwrap_or_else(|| self.to.clone())
    }

    async fn ask(&self, body: Body, timeout: Duration) -> Result<response::Body, Failed> {
        let Sender { cluster, group, node, .. } = &*self.sender;
        let request = proto::Request {
            cluster: cluster.clone(),
            group: *group,
            from: *node,
            to: self.to.id.0,
            body: Some(body),
        };
        let to = self.to();
        let sent = self.peers.send(&to, request.encode_to_vec().into());
        let bytes = time::timeout(timeout, sent).await.map_err(|_| unreachable("no answer"))?;
        let response = proto::Response::decode(bytes.map_err(|error| unreachable(error.0))?);
        match response.map_err(unreachable)?.body {
            Some(response::Body::Refused(reason)) => Err(unreachable(reason)),
            Some(body) => Ok(body),
            None => Err(unreachable("an empty response")),
        }
    }

    async fn ask_for_vote(
        &self,
        body: Body,
        timeout: Duration,
    ) -> Result<VoteResponse<Types>, Failed> {
        let response::Body::Ballot(result) = self.ask(body, timeout).await? else {
            return Err(unreachable("not the response to a vote"));
        };
        let vote = wire::take_vote(result.vote).map_err(unreachable)?;
        let last = wire::take_log_id(result.last).map_err(unreachable)?;
        Ok(VoteResponse::new(vote, last, result.granted))
    }

    async fn send_part(
        &self,
        part: proto::SnapshotPart,
        timeout: Duration,
    ) -> Result<proto::SnapshotResult, Failed> {
        match self.ask(Body::Snapshot(part), timeout).await? {
            response::Body::Snapshot(result) if result.restart => {
                Err(unreachable("the snapshot must start again"))
            }
            response::Body::Snapshot(result) => Ok(result),
            _ => Err(unreachable("not the response to a snapshot")),
        }
    }

    async fn send_snapshot(
        &self,
        vote: &Vote,
        snapshot: RaftSnapshot,
    ) -> Result<SnapshotResponse<Types>, Failed> {
        let SnapshotData::Ours(image) = snapshot.snapshot else {
            return Err(unreachable("a snapshot that is not ours"));
        };
        let (parts, mut read) = mpsc::channel(PARTS_AHEAD);
        let reading: JoinHandle<Result<Digest, StoreError>> = task::spawn_blocking(move || {
            stream_records(image.records(), |part| parts.blocking_send(part).is_ok())
        });
        let mut part = proto::SnapshotPart {
            transfer: next_transfer(),
            vote: Some(wire::put_vote(vote)),
            ..proto::SnapshotPart::default()
        };
        while let Some(data) = read.recv().await {
            let size = data.len() as u64;
            part.checksum = crc32fast::hash(&data);
            part.data = data;
            self.send_part(part.clone(), PART_TIMEOUT).await?;
            part.offset += size;
        }
        let digest = reading.await.map_err(unreachable)?.map_err(unreachable)?;
        part.data = Bytes::new();
        part.checksum = crc32fast::hash(&[]);
        part.end = Some(proto::SnapshotEnd {
            last: snapshot.meta.last_log_id.as_ref().map(wire::put_log_id),
            membership: Some(wire::put_stored_membership(&snapshot.meta.last_membership)),
            bytes: digest.bytes,
            checksum: digest.checksum(),
        });
        let result = self.send_part(part, INSTALL_TIMEOUT).await?;
        Ok(SnapshotResponse::new(wire::take_vote(result.vote).map_err(unreachable)?))
    }
}

/// A number that no other attempt of this process has, and hardly one of another.
fn next_transfer() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() << 24) ^ COUNT.fetch_add(1, Ordering::Relaxed)
}

fn put_append(rpc: AppendEntriesRequest<Types>) -> proto::Append {
    proto::Append {
        vote: Some(wire::put_vote(&rpc.vote)),
        previous: rpc.prev_log_id.as_ref().map(wire::put_log_id),
        entries: rpc.entries.into_iter().map(wire::put_entry).collect(),
        committed: rpc.leader_commit.as_ref().map(wire::put_log_id),
    }
}

fn put_ballot(rpc: &VoteRequest<Types>) -> proto::Ballot {
    proto::Ballot {
        vote: Some(wire::put_vote(&rpc.vote)),
        last: rpc.last_log_id.as_ref().map(wire::put_log_id),
        transfer: rpc.leadership_transfer,
    }
}

fn take_append(result: proto::AppendResult) -> Result<AppendEntriesResponse<Types>, Malformed> {
    use proto::append_result::Outcome;
    Ok(match result.outcome() {
        Outcome::Success => AppendEntriesResponse::Success,
        Outcome::Partial => {
            AppendEntriesResponse::PartialSuccess(wire::take_log_id(result.matching)?)
        }
        Outcome::Conflict => AppendEntriesResponse::Conflict,
        Outcome::HigherVote => AppendEntriesResponse::HigherVote(wire::take_vote(result.vote)?),
        Outcome::Unspecified => return Err(Malformed("an append without an outcome")),
    })
}

impl<P: Peers> RaftNetworkV2<Types> for Client<P> {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Failed> {
        // A lost heartbeat must not hold up the next; entries may wait for a slow disk.
        let heartbeat = rpc.entries.is_empty();
        let timeout = if heartbeat { option.hard_ttl() } else { self.sender.append_timeout };
        match self.ask(Body::Append(put_append(rpc)), timeout).await? {
            response::Body::Append(result) => take_append(result).map_err(unreachable),
            _ => Err(unreachable("not the response to an append")),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failed> {
        self.ask_for_vote(Body::Vote(put_ballot(&rpc)), option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failed> {
        self.ask_for_vote(Body::PreVote(put_ballot(&rpc)), option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            sent = self.send_snapshot(&vote, snapshot) => sent.map_err(StreamingError::from),
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<Result<(), TransferLeaderError<Types>>, Failed> {
        let transfer = proto::Transfer {
            leader: Some(wire::put_vote(rpc.from_leader())),
            to: *rpc.to_node_id(),
            last: rpc.last_log_id().map(wire::put_log_id),
        };
        let response::Body::Transfer(result) =
            self.ask(Body::Transfer(transfer), option.hard_ttl()).await?
        else {
            return Err(unreachable("not the response to a transfer"));
        };
        if let Some(changed) = result.changed {
            let actual = wire::take_vote(Some(changed)).map_err(unreachable)?;
            let expected = *rpc.from_leader();
            return Ok(Err(TransferLeaderError::VoteChanged { expected, actual }));
        }
        if result.behind {
            let expected = rpc.last_log_id().copied();
            let actual = wire::take_log_id(result.flushed).map_err(unreachable)?;
            return Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual }));
        }
        Ok(Ok(()))
    }
}
