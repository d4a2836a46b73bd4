//! Proofs that this node still leads: for what the distributor must not answer without one, and
//! after a proposal was refused.

use std::sync::Arc;
use std::time::Duration;

use crate::StateNode;
use ha_node::ConfirmError;
use tokio::task::JoinSet;
use tokio::time;

/// Before a proof that failed is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a proof is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The distributor asked under this number. It asks one at a time.
    Number(u64),
    /// A proposal was refused: a majority may have left, and this node may lead on in its term only
    /// when one is there.
    Doubt,
}

/// Proofs of leadership of one node, one at a time.
pub(super) struct Confirms {
    node: Arc<StateNode>,
    need: Option<Need>,
    /// At most one.
    running: JoinSet<Result<u64, ConfirmError>>,
}

impl Confirms {
    pub(super) fn new(node: Arc<StateNode>) -> Self {
        Self { node, need: None, running: JoinSet::new() }
    }

    /// Nothing needs a proof any more.
    pub(super) fn clear(&mut self) {
        self.need = None;
        self.running.abort_all();
    }

    /// A proof that begins from now on is needed for this, and for nothing else.
    pub(super) fn ask(&mut self, need: Need) {
        self.need = Some(need);
        self.running = JoinSet::new();
        self.start(Duration::ZERO);
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.need == Some(Need::Doubt)
    }

    fn start(&mut self, pause: Duration) {
        let node = Arc::clone(&self.node);
        self.running.spawn(async move {
            time::sleep(pause).await;
            node.confirm_leadership().await
        });
    }

    /// What has its proof. Goes on until there is one; waits for ever while none is asked for. May
    /// be dropped and called again.
    pub(super) async fn next(&mut self) -> Need {
        loop {
            match self.running.join_next().await {
                Some(Ok(Ok(_))) => match self.need.take() {
                    Some(need) => return need,
                    None => continue,
                },
                Some(_) if self.need.is_some() => self.start(PAUSE),
                // It was cleared.
                Some(_) => (),
                None => std::future::pending().await,
            }
        }
    }
}
