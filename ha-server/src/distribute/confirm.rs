//! Whether a majority still follows: asked when the distributor needs a proof, and from time to
//! time.
//!
//! A leader that was cut off from the others does not notice by itself. It must stop serving then,
//! so that its brokers look for the one that leads now.

use std::sync::Arc;
use std::time::Duration;

use ha_member::StateNode;
use ha_node::{ConfirmError, Failover};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

/// Proofs that are asked for at a time; what needs one meanwhile shares the next.
const CONFIRMS_MAX: usize = 4;

/// Before a proof that failed is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

type Proof = (Instant, Vec<u64>, Result<u64, ConfirmError>);

/// Proofs of leadership of one node.
pub(super) struct Confirms {
    node: Arc<StateNode>,
    running: JoinSet<Proof>,
    /// Numbers that wait for a proof which begins later. Bounded by the distributor, which has one
    /// for each of its turns that is not answered.
    waiting: Vec<u64>,
    /// When the last proof began that did not fail.
    proved_at: Instant,
    proof_age_max: Duration,
}

impl Confirms {
    pub(super) fn new(node: Arc<StateNode>, failover: Failover) -> Self {
        // Three of the longest times in which followers elect another leader.
        let proof_age_max = Duration::from_millis(match failover {
            Failover::Normal => 900,
            Failover::Fast => 600,
            Failover::Wan => 9_000,
        });
        let (running, waiting, proved_at) = (JoinSet::new(), Vec::new(), Instant::now());
        Self { node, running, waiting, proved_at, proof_age_max }
    }

    /// Begins a leadership: its election is the first proof, and older numbers mean nothing.
    pub(super) fn begin(&mut self) {
        self.running = JoinSet::new();
        self.waiting.clear();
        self.proved_at = Instant::now();
    }

    /// Whether a majority has followed lately.
    pub(super) fn is_fresh(&self) -> bool {
        self.proved_at.elapsed() < self.proof_age_max
    }

    /// A proof that begins from now on is needed for this number.
    pub(super) fn ask(&mut self, number: u64) {
        self.waiting.push(number);
        if self.running.len() < CONFIRMS_MAX {
            self.start();
        }
    }

    /// Asks for a proof if none is asked for.
    pub(super) fn probe(&mut self) {
        if self.running.is_empty() {
            self.start();
        }
    }

    fn start(&mut self) {
        let (node, numbers) = (Arc::clone(&self.node), std::mem::take(&mut self.waiting));
        self.running.spawn(async move {
            let began = Instant::now();
            let proved = node.confirm_leadership().await;
            if proved.is_err() {
                time::sleep(PAUSE).await;
            }
            (began, numbers, proved)
        });
    }

    /// The numbers that have their proof. Waits for ever while none is asked for. May be dropped
    /// and called again.
    pub(super) async fn next(&mut self) -> Vec<u64> {
        loop {
            let Some(joined) = self.running.join_next().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let (began, numbers, proved) = joined.expect("asking for a proof does not panic");
            match proved {
                Ok(_) => {
                    self.proved_at = self.proved_at.max(began);
                    if !self.waiting.is_empty() {
                        self.start();
                    }
                    return numbers;
                }
                // Without one for long enough, the leadership ends.
                Err(_) => {
                    self.waiting.splice(0..0, numbers);
                    self.start();
                }
            }
        }
    }
}
