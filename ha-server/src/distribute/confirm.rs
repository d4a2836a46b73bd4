//! Proofs that this node still leads: for what the distributor must not answer without one, and
//! after a proposal was refused.

use std::sync::Arc;
use std::time::Duration;

use ha_member::StateNode;
use ha_node::ConfirmError;
use tokio::task::JoinSet;
use tokio::time;

/// Proofs that are asked for at a time; what needs one meanwhile shares the next.
const CONFIRMS_MAX: usize = 4;

/// Before a proof that failed is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a proof is for.
#[derive(Debug, Default)]
struct Needs {
    numbers: Vec<u64>,
    /// Whether a proposal was refused before.
    doubt: bool,
}

/// Proofs of leadership of one node.
pub(super) struct Confirms {
    node: Arc<StateNode>,
    running: JoinSet<(Needs, Result<u64, ConfirmError>)>,
    /// Waits for a proof that begins later. Bounded by the distributor, which has one number for
    /// each of its turns that is not answered.
    waiting: Needs,
    is_doubted: bool,
}

impl Confirms {
    pub(super) fn new(node: Arc<StateNode>) -> Self {
        let (running, waiting) = (JoinSet::new(), Needs::default());
        Self { node, running, waiting, is_doubted: false }
    }

    /// Nothing needs a proof any more.
    pub(super) fn clear(&mut self) {
        self.running = JoinSet::new();
        self.waiting = Needs::default();
        self.is_doubted = false;
    }

    /// Whether a majority may have left, as far as proposals show.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// A proof that begins from now on is needed for this number.
    pub(super) fn ask(&mut self, number: u64) {
        self.waiting.numbers.push(number);
        self.start();
    }

    /// A proof that begins from now on is needed before this node may lead on in its term.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = true;
        self.waiting.doubt = true;
        self.start();
    }

    fn start(&mut self) {
        if self.running.len() >= CONFIRMS_MAX {
            return;
        }
        let (node, needs) = (Arc::clone(&self.node), std::mem::take(&mut self.waiting));
        self.running.spawn(async move {
            let proved = node.confirm_leadership().await;
            if proved.is_err() {
                time::sleep(PAUSE).await;
            }
            (needs, proved)
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
            let (needs, proved) = joined.expect("asking for a proof does not panic");
            let Needs { numbers, doubt } = needs;
            if proved.is_ok() {
                self.is_doubted &= !doubt;
            } else {
                // Goes on until there is a proof, or the leadership ends.
                self.waiting.numbers.extend(&numbers);
                self.waiting.doubt |= doubt;
            }
            if self.waiting.doubt || !self.waiting.numbers.is_empty() {
                self.start();
            }
            if proved.is_ok() {
                return numbers;
            }
        }
    }
}
