//! When a client has got everything that it is owed.
//!
//! It only decides how long to wait: whether something was lost is for the judge. A client waits
//! until all has come, and gives up when nothing comes for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ha_types::{Qos, TopicFilter};
use tokio::time::Instant;

use crate::board::{Board, Owed};
use crate::plan::Plan;
use crate::session::Session;

/// A client that has all waits for so long for what it should not get.
const QUIET: Duration = Duration::from_secs(3);

/// A client to which nothing came for so long gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a client waits for.
#[derive(Debug)]
pub(crate) struct Draining {
    filters: Vec<(TopicFilter, bool)>,
    id: String,
    /// The place of the board's clock when everything was subscribed to.
    since: Option<u64>,
    seen: BTreeMap<Arc<str>, BTreeSet<u32>>,
    missing: Option<BTreeSet<(Arc<str>, u32)>>,
    progress: Instant,
    is_done: bool,
}

impl Draining {
    /// Of this client.
    #[must_use]
    pub(crate) fn new(plan: &Plan) -> Self {
        let durable =
            plan.subscriptions.iter().filter(|wanted| wanted.options.qos > Qos::AtMostOnce);
        let filter =
            |wanted: &crate::plan::Wanted| (wanted.filter.clone(), wanted.options.no_local);
        Self {
            filters: durable.map(filter).collect(),
            id: plan.id.clone(),
            since: None,
            seen: BTreeMap::new(),
            missing: None,
            progress: Instant::now(),
            is_done: false,
        }
    }

    /// The session is new: nothing is owed by the one before.
    pub(crate) fn forget(&mut self) {
        self.since = None;
        self.missing = None;
    }

    /// Notes when everything was subscribed to.
    pub(crate) fn subscribed(&mut self, session: &Session, board: &Board) {
        if self.since.is_none() && session.is_subscribed() {
            self.since = Some(board.now());
        }
    }

    /// A message came.
    pub(crate) fn got(&mut self, publisher: &str, number: u32) {
        self.progress = Instant::now();
        let publisher = match self.seen.get_key_value(publisher) {
            Some((known, _)) => Arc::clone(known),
            None => publisher.into(),
        };
        if let Some(missing) = &mut self.missing {
            missing.remove(&(Arc::clone(&publisher), number));
        }
        self.seen.entry(publisher).or_default().insert(number);
    }

    /// How much is missing; `None` while nobody has looked.
    #[must_use]
    pub(crate) fn missing(&self) -> Option<usize> {
        self.missing.as_ref().map(BTreeSet::len)
    }

    /// Whether it is done, said once. Asked while it is connected and publishers have stopped.
    pub(crate) fn is_done(&mut self, session: &Session, board: &Board) -> bool {
        if self.is_done || !session.is_subscribed() {
            return false;
        }
        let Some(since) = self.since else { return false };
        if self.missing.is_none() {
            self.progress = Instant::now();
            let owed = board.owed_since(since).into_iter().filter(|owed| self.is_owed(owed));
            self.missing = Some(owed.map(|owed| (owed.publisher, owed.number)).collect());
        }
        let patience = if self.missing() == Some(0) { QUIET } else { PATIENCE };
        self.is_done = self.progress.elapsed() >= patience;
        self.is_done
    }

    fn is_owed(&self, owed: &Owed) -> bool {
        let is_own = *owed.publisher == *self.id;
        let is_wanted = |(filter, no_local): &(TopicFilter, bool)| {
            filter.matches(&owed.topic) && !(is_own && *no_local)
        };
        let has_come = self.seen.get(&*owed.publisher).is_some_and(|n| n.contains(&owed.number));
        !has_come && self.filters.iter().any(is_wanted)
    }
}
