//! Answers the requests of other nodes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ha_proto::raft::request::Body;
use ha_proto::raft::{self as proto, response};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use openraft::{Raft, RaftState, Snapshot};
use prost::Message;
use tokio::sync::{Mutex, watch};

use super::applier::{Applier, Received, SnapshotData};
use super::network::Sender;
use super::types::{SnapshotMeta, Types};
use super::wire::{self, Malformed};
use crate::log::Log;
use crate::machine::Machine;
use crate::recovery::Standing;
use crate::status::Heard;
use crate::store::Digest;

/// Answers for one node.
pub(crate) struct Server<M: Machine> {
    pub(crate) raft: Raft<Types, Applier<M>>,
    pub(crate) us: Arc<Sender>,
    /// Where snapshots are gathered.
    pub(crate) incoming: PathBuf,
    /// When a leader last appended here.
    pub(crate) heard: Arc<Heard>,
    /// At most one at a time; a new one ends the one before.
    pub(crate) transfer: Mutex<Option<Incoming>>,
    pub(crate) log: Log,
    pub(crate) standing: watch::Receiver<Standing>,
}

/// A snapshot that is being received.
pub(crate) struct Incoming {
    from: u64,
    transfer: u64,
    file: File,
    received: Received,
    digest: Digest,
}

/// Why nothing was done.
struct Refused(String);

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl<M: Machine> Server<M> {
    /// Answers one request. Never fails: a request that cannot be read or is not for us is refused.
    pub(crate) async fn receive(&self, request: Bytes) -> Bytes {
        let body = match self.answer(request).await {
            Ok(body) => body,
            Err(Refused(reason)) => response::Body::Refused(reason),
        };
        proto::Response { body: Some(body) }.encode_to_vec().into()
    }

    async fn answer(&self, request: Bytes) -> Result<response::Body, Refused> {
        let request = proto::Request::decode(request)?;
        self.check(&request)?;
        let body = request.body.ok_or(Malformed("a request of a kind that is not known here"))?;
        let standing = *self.standing.borrow();
        if let Some(withheld) = self.withheld(standing, &body) {
            return withheld;
        }
        match body {
            Body::Inquiry(_) => self.inquired(standing).await,
            Body::Append(append) => self.append(append).await,
            Body::Vote(ballot) => Ok(put_ballot(&self.raft.vote(take_ballot(ballot)?).await?)),
            Body::PreVote(ballot) => {
                Ok(put_ballot(&self.raft.pre_vote(take_ballot(ballot)?).await?))
            }
            Body::Snapshot(part) => self.snapshot(request.from, part).await,
            Body::Transfer(transfer) => self.take_over(transfer).await,
        }
    }

    /// What is answered instead of asking Raft, while this node does not take part in everything.
    fn withheld(&self, standing: Standing, body: &Body) -> Option<Result<response::Body, Refused>> {
        let refused = |reason: &str| Some(Err(Refused(reason.to_owned())));
        match body {
            Body::Inquiry(_) => None,
            Body::Transfer(transfer) if standing.is_recovering() && transfer.to == self.us.node => {
                let behind = proto::TransferResult { behind: true, ..Default::default() };
                Some(Ok(response::Body::Transfer(behind)))
            }
            _ if !standing.follows() => refused("this node does not know yet what it promised"),
            Body::Vote(_) | Body::PreVote(_) if standing.is_recovering() => {
                refused("this node lost records and does not vote")
            }
            _ => None,
        }
    }

    fn check(&self, request: &proto::Request) -> Result<(), Refused> {
        let us = &self.us;
        if (&request.cluster, request.group, request.to) == (&us.cluster, us.group, us.node) {
            return Ok(());
        }
        Err(Refused(format!(
            "this is node {} of cluster {:?}, group {}; the request is for node {} of {:?}, {}",
            us.node, us.cluster, us.group, request.to, request.cluster, request.group
        )))
    }

    async fn append(&self, append: proto::Append) -> Result<response::Body, Refused> {
        let entries: Result<_, _> = append.entries.into_iter().map(wire::take_entry).collect();
        let rpc = AppendEntriesRequest {
            vote: wire::take_vote(append.vote)?,
            prev_log_id: wire::take_log_id(append.previous)?,
            entries: entries?,
            leader_commit: wire::take_log_id(append.committed)?,
        };
        if !is_consecutive(&rpc) {
            return Err(Refused("the entries of an append are not consecutive".to_owned()));
        }
        let appended = self.raft.append_entries(rpc).await?;
        if !matches!(appended, AppendEntriesResponse::HigherVote(_)) {
            self.heard.now();
        }
        Ok(response::Body::Append(put_append(&appended)))
    }

    /// How far this node is. Nothing that Raft does later can have happened before.
    async fn inquired(&self, standing: Standing) -> Result<response::Body, Refused> {
        let mut answer = proto::Standing::default();
        match standing {
            Standing::Founding => (),
            Standing::Asking => answer.lost = true,
            Standing::Member | Standing::CatchingUp => {
                let effective = |state: &RaftState<Types>| {
                    wire::put_stored_membership(state.membership_state.effective())
                };
                let membership = self.raft.with_raft_state(effective).await?;
                let state = self.log.state();
                answer.term = state.vote.map_or(0, |vote| vote.term);
                answer.last = state.last.map(|at| wire::put_log_id(&wire::log_id(at)));
                let members = membership.membership.as_ref();
                let begun = members.is_some_and(|members| !members.configs.is_empty());
                answer.membership = begun.then_some(membership);
            }
        }
        Ok(response::Body::Standing(answer))
    }

    async fn take_over(&self, transfer: proto::Transfer) -> Result<response::Body, Refused> {
        let leader = wire::take_vote(transfer.leader)?;
        let last = wire::take_log_id(transfer.last)?;
        let rpc = TransferLeaderRequest::new(leader, transfer.to, last);
        let result = match self.raft.handle_transfer_leader(rpc).await? {
            Ok(()) => proto::TransferResult::default(),
            Err(TransferLeaderError::VoteChanged { actual, .. }) => proto::TransferResult {
                changed: Some(wire::put_vote(&actual)),
                ..proto::TransferResult::default()
            },
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => proto::TransferResult {
                behind: true,
                flushed: actual.as_ref().map(wire::put_log_id),
                ..proto::TransferResult::default()
            },
        };
        Ok(response::Body::Transfer(result))
    }

    async fn snapshot(
        &self,
        from: u64,
        part: proto::SnapshotPart,
    ) -> Result<response::Body, Refused> {
        let restart = response::Body::Snapshot(proto::SnapshotResult { restart: true, vote: None });
        let mut transfer = self.transfer.lock().await;
        if part.offset == 0 {
            *transfer = Some(Incoming::new(&self.incoming, from, part.transfer)?);
        }
        let Some(mut incoming) = transfer.take_if(|incoming| incoming.expects(from, &part)) else {
            return Ok(restart);
        };
        let (incoming, part) = tokio::task::spawn_blocking(move || {
            incoming.write(&part.data).map(|()| (incoming, part))
        })
        .await??;
        let Some(end) = part.end else {
            *transfer = Some(incoming);
            return Ok(response::Body::Snapshot(proto::SnapshotResult::default()));
        };
        drop(transfer);
        if (incoming.digest.bytes, incoming.digest.checksum()) != (end.bytes, end.checksum) {
            return Ok(restart);
        }
        let meta = SnapshotMeta {
            last_log_id: wire::take_log_id(end.last)?,
            last_membership: wire::take_stored_membership(end.membership)?,
        };
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(incoming.received) };
        let vote = wire::take_vote(part.vote)?;
        let installed = self.raft.install_full_snapshot(vote, snapshot).await?;
        let vote = Some(wire::put_vote(&installed.vote));
        Ok(response::Body::Snapshot(proto::SnapshotResult { restart: false, vote }))
    }
}

impl Incoming {
    fn new(dir: &std::path::Path, from: u64, transfer: u64) -> io::Result<Self> {
        let path = dir.join(format!("from-{from}-{transfer}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        let received = Received { path };
        Ok(Self { from, transfer, file, received, digest: Digest::default() })
    }

    fn expects(&self, from: u64, part: &proto::SnapshotPart) -> bool {
        (self.from, self.transfer) == (from, part.transfer)
            && self.digest.bytes == part.offset
            && crc32fast::hash(&part.data) == part.checksum
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.digest.add(data);
        Ok(())
    }
}

/// Raft trusts a leader to send entries in order; bytes from a network are not trusted.
fn is_consecutive(rpc: &AppendEntriesRequest<Types>) -> bool {
    let before = rpc.prev_log_id.as_ref();
    let mut next = before.map_or(0, |id| id.index() + 1);
    let mut term = before.map_or(0, |id| id.committed_leader_id().term);
    rpc.entries.iter().all(|entry| {
        let at = wire::position(&entry.log_id);
        let fits = at.index == next && at.term >= term;
        (next, term) = (at.index.saturating_add(1), at.term);
        fits
    })
}

fn take_ballot(ballot: proto::Ballot) -> Result<VoteRequest<Types>, Malformed> {
    let vote = wire::take_vote(ballot.vote)?;
    let mut request = VoteRequest::new(vote, wire::take_log_id(ballot.last)?);
    request.leadership_transfer = ballot.transfer;
    Ok(request)
}

fn put_ballot(response: &VoteResponse<Types>) -> response::Body {
    response::Body::Ballot(proto::BallotResult {
        vote: Some(wire::put_vote(&response.vote)),
        last: response.last_log_id.as_ref().map(wire::put_log_id),
        granted: response.vote_granted,
    })
}

fn put_append(response: &AppendEntriesResponse<Types>) -> proto::AppendResult {
    use proto::append_result::Outcome;
    let result = |outcome: Outcome| proto::AppendResult {
        outcome: outcome.into(),
        ..proto::AppendResult::default()
    };
    match response {
        AppendEntriesResponse::Success => result(Outcome::Success),
        AppendEntriesResponse::PartialSuccess(matching) => proto::AppendResult {
            matching: matching.as_ref().map(wire::put_log_id),
            ..result(Outcome::Partial)
        },
        AppendEntriesResponse::Conflict => result(Outcome::Conflict),
        AppendEntriesResponse::HigherVote(vote) => {
            proto::AppendResult { vote: Some(wire::put_vote(vote)), ..result(Outcome::HigherVote) }
        }
    }
}
