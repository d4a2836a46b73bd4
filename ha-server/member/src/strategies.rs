//! How operators write the strategies of share groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_core::cluster::{Strategies, Strategy};

/// One strategy each, in capitals; case does not count when they are read.
pub const NAMES: &[&str] =
    &["ROUND_ROBIN", "LOCAL_FIRST", "LEAST_IN_FLIGHT", "BY_CLIENT", "BY_TOPIC"];

const STRATEGIES: [Strategy; 5] = [
    Strategy::RoundRobin,
    Strategy::LocalFirst,
    Strategy::LeastInFlight,
    Strategy::ByClient,
    Strategy::ByTopic,
];

/// One of [`NAMES`] for all share names but those of `by_name`: share names and strategies,
/// `NAME=STRATEGY` with commas.
///
/// # Errors
/// What is wrong with `by_name`, for its operator. `otherwise` that is none of [`NAMES`] is the default.
pub fn parse(otherwise: &str, by_name: &str) -> Result<Strategies, String> {
    let otherwise = named(otherwise).unwrap_or_default();
    Ok(Strategies { otherwise, by_name: parse_by_name(by_name)? })
}

fn named(text: &str) -> Option<Strategy> {
    let at = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    STRATEGIES.get(at).copied()
}

fn parse_by_name(text: &str) -> Result<BTreeMap<Arc<str>, Strategy>, String> {
    let mut found = BTreeMap::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, strategy) =
            entry.rsplit_once('=').ok_or_else(|| format!("{entry}: expected NAME=STRATEGY"))?;
        let (name, strategy) = (name.trim(), strategy.trim());
        if name.is_empty() || name.contains(['/', '+', '#']) {
            return Err(format!("{entry}: expected a share name without /, + and #"));
        }
        let known = named(strategy);
        let known = known.ok_or_else(|| format!("{strategy}: expected {}", NAMES.join(", ")))?;
        if found.insert(name.into(), known).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    Ok(found)
}
