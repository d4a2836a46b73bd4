//! A node that lost records takes part again without doing harm.
//!
//! While it recovers it grants no vote and starts no election. First it answers no leader either:
//! it does not know what it may have promised, so it asks all other members how far they are. Then
//! it follows a leader from nothing, and is a full member once it has applied what the answers
//! say ([`verdict`]). A node with nothing at all asks the same before it begins a group with others:
//! its disk may have been replaced.
//!
//! What was lost and that it recovers is noted on disk ([`marker`]), so a crash changes nothing.

mod marker;
mod standing;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use ha_proto::raft::{Recovering, StoredMembership};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft::{EntryPayload, Raft};
use tokio::sync::{oneshot, watch};
use tokio::time;

pub(crate) use marker::Marker;
pub(crate) use standing::Standing;
use verdict::{Answers, Beginning, Bounds};

use crate::log::{Log, Position, Vote};
use crate::machine::Machine;
use crate::peers::{Member, NodeId, Peers};
use crate::raft::applier::Applier;
use crate::raft::network::Network;
use crate::raft::types::{self, Types};
use crate::raft::wire;
use crate::status::Status;

/// What is needed to recover, or to begin.
pub(crate) struct Recovery<M: Machine, P> {
    pub(crate) raft: Raft<Types, Applier<M>>,
    pub(crate) log: Log,
    pub(crate) network: Network<P>,
    pub(crate) us: u64,
    /// The first members, as configured.
    pub(crate) first: Vec<Member>,
    /// Who belonged to the group when records were lost.
    pub(crate) noted: StoredMembership,
    pub(crate) marker: Marker,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) status: Arc<watch::Sender<Status>>,
    /// Between two rounds of questions.
    pub(crate) every: Duration,
}

/// Why recovering ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Raft has ended; it says why.
    #[error("the node has stopped")]
    Stopped,
    #[error("recovering: {0}")]
    Disk(#[from] io::Error),
}

/// Members as a membership that every other one is newer than.
pub(crate) fn membership_of(first: &[Member]) -> StoredMembership {
    let members = first.iter().map(|member| (member.id.0, types::node(member)));
    let voters: BTreeSet<u64> = first.iter().map(|member| member.id.0).collect();
    let membership = types::Membership::new(vec![voters], members.collect::<BTreeMap<_, _>>());
    let membership = membership.unwrap_or_default();
    StoredMembership { at: None, membership: Some(wire::put_membership(&membership)) }
}

impl<M: Machine, P: Peers> Recovery<M, P> {
    /// Runs until this node is a full member, or Raft ends.
    pub(crate) async fn run(mut self) {
        match self.take_part().await {
            Ok(()) | Err(Ended::Stopped) => (),
            Err(Ended::Disk(error)) => {
                tracing::error!(%error, "the disk failed while the node recovers; it stops");
                self.status.send_modify(|status| status.fault = Some(error.to_string()));
                let _ = self.raft.shutdown().await;
            }
        }
    }

    async fn take_part(&mut self) -> Result<(), Ended> {
        let standing = *self.standing.borrow();
        if standing == Standing::Member {
            return Ok(());
        }
        if standing == Standing::Founding {
            if self.until_begun().await == Beginning::Ours {
                return self.begin().await;
            }
            self.note_missed_beginning()?;
        }
        let bounds = self.until_bounds().await;
        self.promise(bounds).await?;
        tracing::info!(?bounds, "the node recovers: it follows a leader and does not vote");
        self.standing.send_replace(Standing::CatchingUp);
        self.until_applied(bounds.caught_up).await?;
        self.sync_log().await?;
        self.marker.remove()?;
        self.become_member();
        tracing::info!("the node has recovered and votes again");
        Ok(())
    }

    fn become_member(&self) {
        self.standing.send_replace(Standing::Member);
        self.status.send_modify(|status| status.recovering = false);
        self.raft.runtime_config().elect(true);
    }

    /// Takes the entry that names the first members as if from a leader of term 0; everybody begins
    /// with the same one. Raft's own way would stand for election at once, in a term that makes
    /// nodes which start a little later believe that they missed the beginning.
    async fn begin(&self) -> Result<(), Ended> {
        let members = wire::take_stored_membership(Some(membership_of(&self.first)));
        let members = members.map_err(|error| io::Error::other(error.to_string()))?;
        let log_id = wire::log_id(Position { term: 0, index: 0 });
        let payload = EntryPayload::Membership(members.membership().clone());
        let other = self.first.iter().map(|member| member.id.0).find(|id| *id != self.us);
        let node = other.unwrap_or_default();
        let rpc = AppendEntriesRequest {
            vote: wire::vote_of(Vote { term: 0, node, committed: true }),
            prev_log_id: None,
            entries: vec![types::Entry { log_id, payload }],
            leader_commit: None,
        };
        self.raft.append_entries(rpc).await.map_err(|_| Ended::Stopped)?;
        self.become_member();
        Ok(())
    }

    /// To be noted before the first leader is listened to.
    fn note_missed_beginning(&self) -> io::Result<()> {
        tracing::warn!(
            "this node has nothing, but its group has begun: it recovers from the others"
        );
        let reason = "the directory was empty".to_owned();
        self.marker.write(&Recovering { reason, membership: Some(self.noted.clone()) })?;
        self.standing.send_replace(Standing::Asking);
        self.status.send_modify(|status| status.recovering = true);
        Ok(())
    }

    async fn until_begun(&self) -> Beginning {
        let first = self.first.iter().map(|member| member.id.0);
        let first: BTreeSet<u64> = first.filter(|id| *id != self.us).collect();
        let members = membership_of(&self.first);
        tracing::info!(?first, "the directory is empty; the group begins once all have answered");
        loop {
            match verdict::beginning(&first, &self.ask(&members).await) {
                Beginning::Unknown => time::sleep(self.every).await,
                known => return known,
            }
        }
    }

    async fn until_bounds(&mut self) -> Bounds {
        let mut told = None;
        loop {
            let answers = self.ask(&self.noted).await;
            self.noted = verdict::newest(&self.noted, &answers);
            let membership = self.noted.membership.clone().unwrap_or_default();
            if let Some(bounds) = verdict::bounds(self.us, &membership, &answers) {
                return bounds;
            }
            let missing = verdict::missing(self.us, &membership, &answers);
            if told.as_ref() != Some(&missing) {
                tracing::warn!(?missing, "the node recovers once all other members have answered");
                told = Some(missing);
            }
            time::sleep(self.every).await;
        }
    }

    /// Asks all members once, at the same time.
    async fn ask(&self, of: &StoredMembership) -> Answers {
        let members = of.membership.iter().flat_map(|membership| &membership.members);
        let questions = members.filter(|member| member.id != self.us).map(|member| async {
            let to = Member { id: NodeId(member.id), address: member.address.clone() };
            Some((member.id, self.network.inquire(to).await.ok()?))
        });
        future::join_all(questions).await.into_iter().flatten().collect()
    }

    /// Makes Raft refuse every term below the bounds, durably.
    async fn promise(&self, bounds: Bounds) -> Result<(), Ended> {
        let Bounds { term, witness, caught_up } = bounds;
        let vote = Vote { term, node: witness, committed: false };
        // At least what is here, or Raft would not take the term.
        let last = self.log.state().last.max(Some(caught_up));
        let request = VoteRequest::new(wire::vote_of(vote), last.map(wire::log_id));
        // Where it is not granted, a vote of this term or a higher one is there already.
        let promised = self.raft.vote(request).await.map_err(|_| Ended::Stopped)?;
        let known = wire::vote_record(&promised.vote).term;
        if known >= term {
            return Ok(());
        }
        Err(Ended::Disk(io::Error::other(format!("term {term} was not taken, only {known}"))))
    }

    async fn until_applied(&self, at: Position) -> Result<(), Ended> {
        let mut metrics = self.raft.metrics();
        loop {
            let applied = metrics.borrow_watched().last_applied.as_ref().map(wire::position);
            if applied >= Some(at) {
                return Ok(());
            }
            metrics.changed().await.map_err(|_| Ended::Stopped)?;
        }
    }

    /// What others have committed may be applied here before it is on this disk.
    async fn sync_log(&self) -> Result<(), Ended> {
        let (told, synced) = oneshot::channel();
        let done = Box::new(move |result| {
            let _ = told.send(result);
        });
        self.log.sync(done)?;
        synced.await.map_err(|_| Ended::Stopped)??;
        Ok(())
    }
}
