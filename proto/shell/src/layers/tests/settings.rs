//! What a program gets and may ask.

use super::*;

#[test]
fn without_sources_every_key_has_its_default() {
    let settings = Given::default().load(BROKER).unwrap();
    assert_eq!(settings.port("CONFIG", "PORT_NO"), 1883);
    assert_eq!(settings.origin("CONFIG", "PORT_NO"), &Origin::Default);
    assert!(!settings.flag("DISTRIBUTOR", "DISTRIBUTION_ENABLED"));
    assert_eq!(settings.one_of("CONFIG", "ISOLATED"), "SERVE");
    assert_eq!(settings.address("CONFIG", "BIND").to_string(), "0.0.0.0");
    assert_eq!(settings.path("CONFIG", "DATA"), "data");
    assert_eq!(settings.text("CONFIG", "BANNER"), "");
    assert_eq!(settings.if_set("CONFIG", "TOKEN"), None);
}

#[test]
fn numbers_come_in_the_type_that_is_asked_for() {
    let text = "[HA_SERVER]\nmembers = a,b:2\nlease=2s\n[LIMITS]\nMAX-PACKET = 64K";
    let settings = server(text).load(SERVER).unwrap();
    assert_eq!(settings.bytes::<usize>("LIMITS", "max-packet"), 65_536);
    assert_eq!(settings.integer::<u8>("LIMITS", "brokers"), 16);
    assert_eq!(settings.millis("HA_SERVER", "lease"), 2_000);
    assert_eq!(settings.duration("HA_SERVER", "lease").as_secs(), 2);
    assert_eq!(settings.list("HA_SERVER", "members")[1].port, Some(2));
}

#[test]
fn an_error_of_the_program_stands_where_the_key_was_set() {
    let given = Given {
        file: Some(("b.conf", "[CONFIG]\nPORT_NO = 7")),
        environment: &[("MQTT_HA_CONFIG__BIND", "::1")],
        set: &["CONFIG.DATA=/x"],
    };
    let settings = given.load(BROKER).unwrap();
    let told = |section, key| settings.error_at(section, key, "no").to_string();
    assert_eq!(told("CONFIG", "PORT_NO"), "b.conf:2: PORT_NO = 7: no");
    assert_eq!(told("CONFIG", "BIND"), "MQTT_HA_CONFIG__BIND=::1: no");
    assert_eq!(told("CONFIG", "DATA"), "--set CONFIG.DATA=/x: no");
    assert_eq!(told("CONFIG", "ISOLATED"), "[CONFIG] ISOLATED = SERVE (the default): no");
    assert_eq!(told("CONFIG", "TOKEN"), "[CONFIG] TOKEN (not set): no");
}

#[test]
fn the_effective_configuration_lists_every_key_and_hides_secrets() {
    let given = Given { set: &["CONFIG.TOKEN=swordfish"], ..broker("[CONFIG]\nPORT_NO = 7") };
    let settings = given.load(BROKER).unwrap();
    let lines: Vec<String> = settings.effective().map(|line| line.to_string()).collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[0], "[DISTRIBUTOR] DISTRIBUTION_ENABLED = NO (default)");
    assert_eq!(lines[2], "[CONFIG] PORT_NO = 7 (conf/broker.conf:2)");
    assert_eq!(lines[7], "[CONFIG] TOKEN = (hidden) (--set CONFIG.TOKEN)");
    assert_eq!(settings.if_set("CONFIG", "TOKEN").map(Value::secret), Some("swordfish"));
    assert!(!format!("{settings:?}").contains("swordfish"));
}

#[test]
fn a_key_that_is_not_set_is_listed_as_such() {
    let settings = Given::default().load(SERVER).unwrap();
    let lines: Vec<String> = settings.effective().map(|line| line.to_string()).collect();
    assert_eq!(lines[1], "[HA_SERVER] members is not set");
}

#[test]
#[should_panic(expected = "[CONFIG] PORT is not declared")]
fn asking_for_an_undeclared_key_is_a_mistake_of_the_program() {
    Given::default().load(BROKER).unwrap().port("CONFIG", "PORT");
}

#[test]
#[should_panic(expected = "[CONFIG] TOKEN has no default; ask with if_set")]
fn asking_for_an_unset_key_is_a_mistake_of_the_program() {
    Given::default().load(BROKER).unwrap().text("CONFIG", "TOKEN");
}
