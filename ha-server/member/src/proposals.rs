//! Batches on their way through the log, in order.
//!
//! Runs on the node that leads. Whoever proposes never waits: a task hands the batches to the node
//! one after the other, a second one awaits what came of them. Nothing is proposed again here, and
//! what was proposed behind a batch that was refused is not applied.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ha_core::cluster::{Applied, Batch};
use ha_node::{Pending, ProposeError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::place::{Place, in_run};
use crate::{Replicated, Skipped, StateNode};

/// Bytes that a batch aims at. More commands go into further ones; a larger command goes alone.
///
/// A follower gets an entry of this size in one request beside others.
pub const BATCH_BYTES: usize = 1 << 20;

/// Bytes of batches without an outcome, beyond which [`Proposals::has_room`] says no. What is
/// proposed all the same is proposed: only whoever asks keeps this limit.
///
/// Half of what a node takes before it makes proposals wait.
pub const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;

type Answer = Result<Applied, ProposeError>;

/// The batches of one run that were proposed and have no outcome yet.
#[derive(Debug)]
pub struct Proposals {
    place: Place,
    /// Bounded by whoever asks [`Proposals::has_room`].
    batches: mpsc::UnboundedSender<Bytes>,
    answers: mpsc::UnboundedReceiver<Answer>,
    in_flight: VecDeque<InFlight>,
    bytes: usize,
    /// End with this value.
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    commands: usize,
    bytes: usize,
}

impl Proposals {
    /// Nothing on its way. `run` was never used before, by any node; and an earlier run of this node
    /// has all its outcomes before this one proposes. Runs inside a tokio runtime.
    #[must_use]
    pub fn new(node: Arc<StateNode>, run: u64) -> Self {
        let (batches, to_submit) = mpsc::unbounded_channel();
        let (submitted, to_await) = mpsc::unbounded_channel();
        let (answered, answers) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(submit(node, to_submit, submitted));
        tasks.spawn(gather(to_await, answered));
        let (place, in_flight) = (Place { run, next: 0 }, VecDeque::new());
        Self { place, batches, answers, in_flight, bytes: 0, _tasks: tasks }
    }

    /// Whether more should be proposed.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes < IN_FLIGHT_BYTES_MAX
    }

    /// Whether all that was proposed has its outcome.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Proposes the commands in order, in as many batches as their size asks for. Never waits.
    pub fn propose(&mut self, batch: Batch) {
        if batch.commands.is_empty() {
            return;
        }
        for (commands, bytes) in encode(batch, &mut self.place) {
            self.bytes += bytes.len();
            self.in_flight.push_back(InFlight { commands, bytes: bytes.len() });
            // It ends only with this value, or when the node panicked: then no outcome comes.
            let _ = self.batches.send(bytes);
        }
    }

    /// What came of the next batch, in the order in which they were proposed. Waits for ever when
    /// nothing is on its way. May be dropped and called again.
    ///
    /// # Errors
    /// As [`ha_node::Node::propose`]. When it says that nothing was done, nothing comes of all that
    /// was proposed later either.
    pub async fn next(&mut self) -> Result<Applied, ProposeError> {
        let answer = self.answers.recv().await;
        self.take(answer.unwrap_or(Err(ProposeError::Stopped)))
    }

    /// The same, if it is there already.
    pub fn try_next(&mut self) -> Option<Result<Applied, ProposeError>> {
        let answer = self.answers.try_recv().ok()?;
        Some(self.take(answer))
    }

    fn take(&mut self, answer: Answer) -> Answer {
        let InFlight { commands, bytes } =
            self.in_flight.pop_front().ok_or(ProposeError::Stopped)?;
        self.bytes -= bytes;
        let applied = answer?;
        assert_eq!(applied.outcomes.len(), commands, "what we encode can be applied");
        Ok(applied)
    }
}

/// As commands, each with the number of its own.
fn encode(mut batch: Batch, place: &mut Place) -> Vec<(usize, Bytes)> {
    let (time, count) = (batch.time, batch.commands.len());
    let command = in_run(*place, &batch);
    if command.len() <= BATCH_BYTES || count <= 1 {
        place.next += 1;
        return vec![(count, command)];
    }
    let commands = batch.commands.split_off(count / 2);
    let mut encoded = encode(batch, place);
    encoded.extend(encode(Batch { time, commands }, place));
    encoded
}

async fn submit(
    node: Arc<StateNode>,
    mut batches: mpsc::UnboundedReceiver<Bytes>,
    submitted: mpsc::UnboundedSender<Result<Pending<Replicated>, ProposeError>>,
) {
    while let Some(batch) = batches.recv().await {
        if submitted.send(node.submit(batch).await).is_err() {
            return;
        }
    }
}

async fn gather(
    mut submitted: mpsc::UnboundedReceiver<Result<Pending<Replicated>, ProposeError>>,
    answered: mpsc::UnboundedSender<Answer>,
) {
    while let Some(pending) = submitted.recv().await {
        let answer = match pending {
            Ok(pending) => match pending.await {
                Ok((_, Ok(applied))) => Ok(applied),
                // One before it was refused, which says why.
                Ok((_, Err(Skipped))) => Err(ProposeError::NotLeader { leader: None }),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if answered.send(answer).is_err() {
            return;
        }
    }
}
