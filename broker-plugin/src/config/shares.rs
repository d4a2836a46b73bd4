//! How the members of share groups are chosen while the broker works alone.

use ha_member::{Strategies, strategies};
use ha_shell::layers::Settings;
use ha_shell::problem::ConfigError;

use super::CONFIG;

pub(super) fn strategies(settings: &Settings) -> Result<Strategies, ConfigError> {
    let by_name = settings.if_set(CONFIG, "SHARE_STRATEGIES").map_or("", |value| value.text());
    let parsed = strategies::parse(settings.one_of(CONFIG, "SHARE_STRATEGY"), by_name);
    parsed.map_err(|wrong| settings.error_at(CONFIG, "SHARE_STRATEGIES", wrong))
}

#[cfg(test)]
mod tests {
    use super::super::tests::configured;

    #[test]
    fn mistakes_in_strategies_are_told_with_their_line() {
        let names = |lines: &str| {
            let config = configured(&format!("[CONFIG]\n{lines}\n"))?;
            Ok::<_, String>(config.strategies.by_name.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(
            names("SHARE_STRATEGIES = a=BY_TOPIC, b=round_robin"),
            Ok(vec!["a".into(), "b".into()])
        );
        let error = names("SHARE_STRATEGIES = a=RANDOM").unwrap_err();
        assert!(error.contains("x.conf:2") && error.contains("RANDOM: expected"), "{error}");
    }
}
