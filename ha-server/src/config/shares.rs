//! How the members of share groups are chosen.

use ha_member::{Strategies, strategies};
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;

use super::SECTION;

pub(super) fn strategies(settings: &Settings) -> Result<Strategies, ConfigError> {
    let by_name = settings.if_set(SECTION, "SHARE_STRATEGIES").map_or("", |value| value.text());
    let parsed = strategies::parse(settings.one_of(SECTION, "SHARE_STRATEGY"), by_name);
    parsed.map_err(|wrong| settings.error_at(SECTION, "SHARE_STRATEGIES", wrong))
}

#[cfg(test)]
mod tests {
    use ha_core::cluster::Strategy;

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
