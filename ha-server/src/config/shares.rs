//! How the members of share groups are chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_core::cluster::{Strategies, Strategy};
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;

use super::SECTION;

/// As they are written.
pub(super) const NAMES: &[&str] =
    &["ROUND_ROBIN", "LOCAL_FIRST", "LEAST_IN_FLIGHT", "BY_CLIENT", "BY_TOPIC"];

const STRATEGIES: [Strategy; 5] = [
    Strategy::RoundRobin,
    Strategy::LocalFirst,
    Strategy::LeastInFlight,
    Strategy::ByClient,
    Strategy::ByTopic,
];

pub(super) fn strategies(settings: &Settings) -> Result<Strategies, ConfigError> {
    let otherwise = named(settings.one_of(SECTION, "SHARE_STRATEGY")).unwrap_or_default();
    let text = settings.if_set(SECTION, "SHARE_STRATEGIES").map_or("", |value| value.text());
    let by_name = by_name(text);
    let by_name = by_name.map_err(|wrong| settings.error_at(SECTION, "SHARE_STRATEGIES", wrong))?;
    Ok(Strategies { otherwise, by_name })
}

fn named(text: &str) -> Option<Strategy> {
    let at = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    STRATEGIES.get(at).copied()
}

/// Share names and strategies, `NAME=STRATEGY` with commas.
fn by_name(text: &str) -> Result<BTreeMap<Arc<str>, Strategy>, String> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::configured;
    use super::*;

    fn strategies_of(lines: &str) -> Result<Strategies, String> {
        configured("x.conf", &format!("[HA_SERVER]\n{lines}")).map(|config| config.strategies)
    }

    #[test]
    fn members_take_turns_unless_a_strategy_is_named() {
        assert_eq!(strategies_of(""), Ok(Strategies::default()));
        let lines = "SHARE_STRATEGY = local_first\nSHARE_STRATEGIES = a=BY_TOPIC, b = round_robin,";
        let strategies = strategies_of(lines).unwrap();
        assert_eq!(strategies.otherwise, Strategy::LocalFirst);
        let by_name: Vec<_> = strategies.by_name.iter().map(|(name, of)| (&**name, *of)).collect();
        assert_eq!(by_name, [("a", Strategy::ByTopic), ("b", Strategy::RoundRobin)]);
    }

    #[test]
    fn mistakes_in_strategies_are_told_with_their_line() {
        for (value, wrong) in [
            ("a", "a: expected NAME=STRATEGY"),
            ("=BY_TOPIC", "expected a share name"),
            ("a/b=BY_TOPIC", "expected a share name"),
            ("a=RANDOM", "RANDOM: expected ROUND_ROBIN, LOCAL_FIRST"),
            ("a=BY_TOPIC,a=BY_TOPIC", "a is there twice"),
        ] {
            let error = strategies_of(&format!("SHARE_STRATEGIES = {value}\n")).unwrap_err();
            assert!(error.contains("x.conf:2") && error.contains(wrong), "{error}");
        }
    }
}
