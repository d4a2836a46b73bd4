//! The one task that owns the [`Distributor`](ha_core::Distributor), while this node leads.
//!
//! Inputs come through two bounded channels: what keeps leases and answers operators overtakes the
//! traffic of streams. The task never waits for a stream: what it sends goes into queues whose
//! length the distributor itself bounds (it counts what was sent and not written). Nor does it wait
//! for the log: what it proposes is counted, and while that is too much it takes nothing more from
//! streams.
//!
//! A leadership begins with a fresh distributor and ends with all of its streams. A node that does
//! not lead tells whoever says Hello where the leader is, as soon as it knows.

mod confirm;
mod following;
mod handle;
mod lead;
mod look;
mod notes;
mod queues;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::cluster::{Applied, Batch, Command, FeatureLevel, StateLimits, Strategies};
use ha_core::{BrokerLoss, Config, Input, Output, StreamId};
use ha_node::{NodeId, ProposeError, Status};
use ha_types::ClusterMillis;
use tokio::sync::watch;
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::leader_changes::LeaderChanges;
use crate::rates::Sampler;
use crate::{Proposals, StateNode, plain};

pub use handle::{Beat, FromStream, Handle, HeartbeatReply, NoAnswer, OrderReply, Snapshot};
pub use queues::{Queue, QueueOut, Weighed, queue};

use confirm::{Confirms, Need};
use handle::Urgent;
use lead::Lead;
use queues::{Queues, shutting_down};
use waiting::Waiting;

/// Inputs from streams that are taken in one turn: one lock of the state, one batch for the log.
const TURN_MAX: usize = 64;

/// Outputs for which there is always room.
const OUTPUTS_KEPT: usize = 1_024;

/// Leaderships of one node in one term: each takes a loss of the majority.
const RUNS_OF_A_TERM: u64 = 1 << 20;

/// How long streams of a leadership that ended wait to hear who leads: an election, nearly always.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// Between two looks whether the leader is heard of again, while streams wait for that.
const LOOK: Duration = Duration::from_millis(20);

/// Between two samples of the message rates.
const SAMPLE: Duration = Duration::from_secs(1);

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For each leadership's distributor.
    pub config: Config,
    /// For the replicated state.
    pub limits: StateLimits,
    /// Likewise.
    pub strategies: Strategies,
}

/// Starts the task of the node `own`. It runs until it is aborted: while ha-server stops, it keeps the
/// leases of the brokers that still read what was sent to them.
pub fn start(
    node: Arc<StateNode>,
    own: NodeId,
    settings: Settings,
) -> (Handle, tokio::task::JoinHandle<()>) {
    let (handle, inputs) = handle::channels();
    let status = node.watch();
    let task = Task {
        confirms: Confirms::new(Arc::clone(&node)),
        proposals: Proposals::new(Arc::clone(&node), 0),
        node,
        own,
        status,
        settings,
        lead: None,
        queues: Queues::default(),
        start: Instant::now(),
        snapshot: Arc::clone(&handle.snapshot),
        outputs: Vec::new(),
        deadline: None,
        term: 0,
        run: 0,
        farewell: None,
        left_upto: StreamId(0),
        waiting: Waiting::default(),
        is_stopping: false,
        rates: Sampler::default(),
        sampled_at: Instant::now(),
        leader_changes: LeaderChanges::default(),
        losses: Vec::new(),
        lost_before: 0,
    };
    (handle, tokio::spawn(task.run(inputs)))
}

struct Task {
    node: Arc<StateNode>,
    own: NodeId,
    status: watch::Receiver<Status>,
    settings: Settings,
    /// While this node leads.
    lead: Option<Lead>,
    proposals: Proposals,
    confirms: Confirms,
    queues: Queues,
    start: Instant,
    snapshot: Arc<Mutex<Snapshot>>,
    outputs: Vec<Output>,
    deadline: Option<Instant>,
    /// Of the node, as this task knows it.
    term: u64,
    /// Of the last leadership's proposals.
    run: u64,
    /// When the streams of a leadership that ended are ended at the latest.
    farewell: Option<Instant>,
    /// The last stream of that leadership.
    left_upto: StreamId,
    waiting: Waiting,
    is_stopping: bool,
    rates: Sampler,
    sampled_at: Instant,
    leader_changes: LeaderChanges,
    /// Of earlier leaderships, from the oldest on; at most [`LOSSES_MAX`](ha_core::LOSSES_MAX).
    losses: Vec<BrokerLoss>,
    /// How many there were.
    lost_before: u64,
}

impl Task {
    async fn run(mut self, inputs: handle::Inputs) {
        let handle::Inputs { mut from_streams, mut urgent } = inputs;
        let mut sample = time::interval(SAMPLE);
        // After a pause of the process one sample is due, not one for each second that passed.
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut received = Vec::with_capacity(TURN_MAX);
        let mut status = self.status.clone();
        loop {
            self.follow_status();
            let wake = self.deadline.unwrap_or(self.start);
            tokio::select! {
                biased;
                Some(question) = urgent.recv() => self.answer(question),
                // An error means that the node has stopped; its health says so.
                Ok(()) = status.changed() => (),
                outcome = self.proposals.next(), if !self.proposals.is_empty() => self.learn(outcome),
                need = self.confirms.next() => self.confirmed(need),
                () = time::sleep_until(wake), if self.deadline.is_some() => self.turn([Input::Tick]),
                _ = sample.tick() => self.sample(),
                _ = look.tick(), if !self.waiting.is_empty() => (),
                _ = from_streams.recv_many(&mut received, TURN_MAX), if self.proposals.has_room() => {
                    self.take(received.drain(..));
                }
            }
        }
    }

    /// Begins or ends a leadership.
    fn follow_status(&mut self) {
        self.watch_leader();
        let (leads, term) = {
            let status = self.status.borrow();
            (status.is_leader, status.term)
        };
        if self.lead.is_some() && !(leads && term == self.term) {
            self.end("another server leads, or no majority answers");
        }
        if term != self.term {
            // A proof of an older term is none.
            self.confirms.clear();
            self.term = term;
        }
        // What an earlier leadership proposed must not come into this one.
        let may_begin = leads && !self.confirms.is_doubted() && self.proposals.is_empty();
        if self.lead.is_none() && may_begin && !self.is_stopping {
            self.bid_farewell();
            self.begin();
        } else if self.farewell.is_some_and(|at| at <= Instant::now()) || self.knows_other() {
            self.bid_farewell();
        }
        if !self.waiting.is_empty() {
            self.answer_waiting();
        }
    }

    fn begin(&mut self) {
        tracing::info!(term = self.term, "leads");
        self.proposals = Proposals::new(Arc::clone(&self.node), self.next_run());
        let config = self.settings.config.clone();
        let (lead, is_configured) = self.node.read(|machine| {
            let state = machine.state();
            let Settings { limits, strategies, .. } = &self.settings;
            let is_configured = state.limits() == limits
                && state.strategies() == strategies
                && (state.feature_level() == FeatureLevel::NEWEST || !self.is_alone());
            (Lead::new(config, state), is_configured)
        });
        self.lead = Some(lead);
        if !is_configured {
            self.configure();
        }
        let opened = self.queues.addresses();
        let opened: Vec<_> =
            opened.map(|(stream, address)| Input::Opened(stream, address.to_owned())).collect();
        let said = self.waiting.take();
        self.turn(opened.into_iter().chain(said));
    }

    /// A number that no other leadership has: one node leads in a term.
    fn next_run(&mut self) -> u64 {
        let first = self.term.saturating_mul(RUNS_OF_A_TERM);
        self.run = first.max(self.run + 1);
        self.run
    }

    /// Makes the limits and strategies of this server those of the state. Whether it succeeds shows at
    /// the next leadership.
    fn configure(&self) {
        let strategies = Command::Share(self.settings.strategies.clone());
        let raise = self.is_alone().then_some(Command::Raise(FeatureLevel::NEWEST));
        let settings = [Command::Configure(self.settings.limits), strategies];
        let commands = raise.into_iter().chain(settings).collect();
        // Cluster time does not go back: this is the time of the batch before.
        let batch = plain(&Batch { time: ClusterMillis(0), commands });
        let node = Arc::clone(&self.node);
        tokio::spawn(async move { node.propose(batch).await });
    }

    /// Nobody else has to understand what is proposed.
    fn is_alone(&self) -> bool {
        let status = self.status.borrow();
        status.voters.len() + status.learners.len() == 1
    }

    fn end(&mut self, why: &str) {
        (self.losses, self.lost_before) = (self.last_losses(), self.losses_total());
        if self.lead.take().is_some() {
            tracing::warn!(term = self.term, "leads no more: {why}");
            self.outputs.clear();
            self.confirms.clear();
            self.farewell = Some(Instant::now() + FAREWELL_MAX);
            self.left_upto = self.queues.last();
            self.deadline = self.farewell;
        }
    }

    /// Takes what streams sent: all of it in one turn.
    fn take(&mut self, received: impl Iterator<Item = FromStream>) {
        let mut inputs = Vec::new();
        for input in received {
            match input {
                // Came too late: its queue is dropped, and so it ends.
                FromStream::Opened(..) if self.is_stopping => (),
                FromStream::Opened(stream, address, queue) => {
                    self.queues.insert(stream, address.clone(), queue);
                    inputs.push(Input::Opened(stream, address));
                }
                FromStream::Input(Input::Broken(stream)) => {
                    // Its writer may wait for items, not knowing.
                    self.queues.end(stream);
                    self.waiting.remove(stream);
                    inputs.push(Input::Broken(stream));
                }
                FromStream::Input(input) => inputs.push(input),
            }
        }
        if self.lead.is_some() {
            self.turn(inputs);
        } else {
            inputs.into_iter().for_each(|input| self.decline(input));
        }
    }

    /// Steps the distributor with all inputs and does what it says.
    fn turn(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let Some(lead) = &mut self.lead else { return };
        let outputs = &mut self.outputs;
        self.deadline = self.node.read(|machine| {
            let state = machine.state();
            for input in inputs {
                lead.step(state, input, outputs);
            }
            lead.deadline(state)
        });
        self.act();
    }

    /// What is proposed in one turn is one batch.
    fn act(&mut self) {
        let mut commands = Vec::new();
        for output in self.outputs.drain(..) {
            match output {
                Output::Send(stream, item, bytes) => self.queues.send(stream, item, bytes),
                Output::End(stream) => self.queues.end(stream),
                Output::Propose(command) => commands.push(command),
                Output::Confirm(number) => self.confirms.ask(Need::Number(number)),
                Output::Note(event) => notes::log(&event),
            }
        }
        self.outputs.shrink_to(OUTPUTS_KEPT);
        if let Some(lead) = &self.lead {
            self.proposals.propose(Batch { time: lead.cluster_time(), commands });
        }
    }

    /// What came of a batch, and of all others that are answered already.
    fn learn(&mut self, first: Result<Applied, ProposeError>) {
        let (mut applied, mut outcome) = (Vec::new(), Some(first));
        let refused = loop {
            match outcome {
                Some(Ok(one)) => applied.push(Input::Applied(one)),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
            outcome = self.proposals.try_next();
        };
        self.turn(applied);
        if let Some(error) = refused
            && self.lead.is_some()
        {
            self.end(&error.to_string());
            self.confirms.ask(Need::Doubt);
        }
    }

    /// After a doubt, the next look at the status begins the leadership again.
    fn confirmed(&mut self, need: Need) {
        if let Need::Number(number) = need {
            self.turn([Input::Confirmed(number)]);
        }
    }

    fn answer(&mut self, question: Urgent) {
        match question {
            Urgent::Heartbeat(epoch, duty, reply) => {
                let said = (epoch, duty);
                let outputs = &mut self.outputs;
                let answer = self.lead.as_mut().map(|lead| {
                    self.node.read(|machine| lead.heartbeat(machine.state(), said, outputs))
                });
                self.act();
                // The stream may be gone; the lease is kept all the same.
                let _ = reply.send(answer.ok_or(NoAnswer::NotLeader));
            }
            Urgent::Kick(client_id, what, reply) => {
                let outputs = &mut self.outputs;
                let kicked = self.lead.as_mut().map(|lead| {
                    self.node
                        .read(|machine| lead.kick(machine.state(), (&client_id, what), outputs))
                });
                self.act();
                let _ = reply.send(kicked.ok_or(NoAnswer::NotLeader));
            }
            Urgent::Order(name, order, reply) => {
                let outputs = &mut self.outputs;
                let told = self.lead.as_mut().map(|lead| lead.order(&name, order, outputs));
                self.act();
                // Whoever asked may be gone; the broker is told all the same.
                let _ = reply.send(told.ok_or(NoAnswer::NotLeader));
            }
            // Whoever asked may be gone.
            Urgent::Look(reply) => drop(reply.send(self.look())),
            Urgent::ShutDown => {
                self.is_stopping = true;
                self.turn([Input::ShutDown]);
                self.queues.refuse_upto(self.queues.last(), &shutting_down());
            }
        }
    }
}
