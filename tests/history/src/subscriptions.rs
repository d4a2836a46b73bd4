//! Filters, and what a client asked for and was granted.

use std::collections::BTreeMap;

use ha_types::{Qos, Subscription};

use crate::event::{At, Name};
use crate::names::Names;

/// All filters that occur, parsed once.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    parsed: BTreeMap<Name, Subscription>,
}

impl Filters {
    /// Parses a filter if it is new; says whether it is one.
    pub(crate) fn learn(&mut self, names: &Names, filter: Name) -> bool {
        if self.parsed.contains_key(&filter) {
            return true;
        }
        let parsed = Subscription::parse(names.text(filter).as_bytes());
        parsed.map(|parsed| self.parsed.insert(filter, parsed)).is_ok()
    }

    pub(crate) fn is_shared(&self, filter: Name) -> bool {
        matches!(self.parsed.get(&filter), Some(Subscription::Shared(_)))
    }

    pub(crate) fn matches(&self, names: &Names, filter: Name, topic: Name) -> bool {
        let parsed = self.parsed.get(&filter);
        parsed.is_some_and(|parsed| parsed.filter().matches_text(names.text(topic)))
    }
}

/// What a client ever asked for with one filter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grant {
    /// How many SUBSCRIBEs.
    pub(crate) requests: u32,
    /// Asked for, not answered.
    pub(crate) pending: Option<Qos>,
    /// The most that was ever granted, or may have been: a message that was queued before keeps its
    /// QoS.
    pub(crate) granted: Option<Qos>,
    pub(crate) as_published: bool,
}

/// What all that matches a topic allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// `None`: nothing matches.
    pub(crate) qos: Option<Qos>,
    pub(crate) requests: u32,
    pub(crate) is_shared: bool,
    pub(crate) as_published: bool,
}

/// A subscription that was answered with QoS ≥ 1, is not shared, and has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    /// Its SUBACK. The first one, when it was repeated.
    pub(crate) since: At,
    pub(crate) no_local: bool,
}

/// A SUBSCRIBE that must see what was retained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) filter: Name,
    pub(crate) sent_at: At,
}
