//! Brings the lead to the server with the highest `LEADER_PRIORITY`.
//!
//! Runs on every server, and acts on the leader. It does not hurry: a server that has just come
//! back has to stay for a while before it leads.

use std::time::Duration;

use ha_member::Leader;
use ha_node::NodeId;
use tokio::time::{self, MissedTickBehavior};

use crate::change;
use crate::group::Group;

/// How often the members are asked.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks in a row must find the same better leader.
const LOOKS: u32 = 3;

/// Looks that are left out after a hand-over failed.
const LOOKS_AFTER_FAILURE: u32 = 30;

/// What the looks have found so far.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    found: Option<(NodeId, u32)>,
    pause: u32,
}

impl Balance {
    /// One look; `better` should lead instead of us. `Some`: hand over now.
    fn look(&mut self, better: Option<NodeId>) -> Option<NodeId> {
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        let looks = match (self.found, better) {
            (Some((before, looks)), Some(better)) if before == better => looks + 1,
            _ => 1,
        };
        self.found = better.map(|better| (better, looks));
        better.filter(|_| looks >= LOOKS).inspect(|_| self.found = None)
    }

    fn failed(&mut self) {
        self.pause = LOOKS_AFTER_FAILURE;
    }
}

/// Runs until it is aborted.
pub(crate) async fn run(group: Group) {
    let mut balance = Balance::default();
    let mut looks = time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let status = group.status();
        // One that is alone has nobody to ask.
        if group.leader() != Leader::Us || status.voters.len() < 2 {
            balance = Balance::default();
            continue;
        }
        let view = change::view(&group).await;
        let Some(better) = balance.look(view.preferred(group.config().priority)) else { continue };
        tracing::info!(to = %better, "hands the lead to a server with a higher priority");
        if let Err(error) = group.node().transfer_leader(better).await {
            tracing::warn!(to = %better, %error, "the lead was not handed over");
            balance.failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Option<NodeId> = Some(NodeId(2));

    #[test]
    fn better_leader_is_found_three_times_in_a_row_before_it_leads() {
        let mut balance = Balance::default();
        let found = [TWO, TWO, None, TWO, TWO, Some(NodeId(3)), TWO, TWO, TWO, TWO];
        let acted: Vec<_> = found.into_iter().map(|better| balance.look(better)).collect();
        assert_eq!(acted, [None, None, None, None, None, None, None, None, TWO, None]);
    }

    #[test]
    fn failed_hand_over_is_not_tried_again_at_once() {
        let mut balance = Balance::default();
        balance.failed();
        let handed_over = (1..).find(|_| balance.look(TWO).is_some());
        assert_eq!(handed_over, Some(LOOKS_AFTER_FAILURE + LOOKS));
    }
}
