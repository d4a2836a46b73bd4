//! Raises the feature level of the group once all its members understand more.
//!
//! Runs on every server, and acts on the leader. A server that is alone needs nobody's consent: its
//! distributor raises the level when it begins to lead.

use std::time::Duration;

use ha_core::cluster::{Batch, Command};
use ha_member::{FeatureLevel, Leader, Strategies, plain};
use ha_types::ClusterMillis;
use tokio::time::{self, MissedTickBehavior};

use crate::change;
use crate::group::Group;

/// How often the members are asked, while the level is lower than what this server understands.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until it is aborted. `strategies` are those of this server's configuration, which a lower level
/// could not have.
pub(crate) async fn run(group: Group, strategies: Strategies) {
    let mut looks = time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if group.feature_level() >= FeatureLevel::NEWEST || group.leader() != Leader::Us {
            continue;
        }
        let Some(level) = change::view(&group).await.raise() else { continue };
        // Cluster time does not go back: this is the time of the batch before.
        let commands = vec![Command::Raise(level), Command::Share(strategies.clone())];
        let batch = Batch { time: ClusterMillis(0), commands };
        match group.node().propose(plain(&batch)).await {
            Ok(_) => tracing::info!(%level, "all members understand more: the group uses it"),
            // Whoever leads next looks again.
            Err(error) => tracing::debug!(%error, "the feature level was not raised"),
        }
    }
}
