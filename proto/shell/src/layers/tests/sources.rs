//! The environment, the arguments, and which source wins.

use proptest::prelude::*;

use super::*;

#[test]
fn each_source_is_stronger_than_the_one_before() {
    let file = "[config]\nport_no = 2";
    let mut given = broker(file);
    let port = |given: &Given<'_>| given.load(BROKER).unwrap().port("CONFIG", "PORT_NO");
    assert_eq!(port(&given), 2);
    given.environment = &[("MQTT_HA_CONFIG__PORT_NO", "3")];
    assert_eq!(port(&given), 3);
    given.set = &["CONFIG.PORT_NO=4"];
    assert_eq!(port(&given), 4);
    given.set = &["CONFIG.PORT_NO=4", "config.port_no=5"];
    assert_eq!(port(&given), 5);
}

#[test]
fn a_stronger_source_does_not_hide_the_mistake_of_a_weaker_one() {
    let mut given = broker("[CONFIG]\nPORT_NO = x");
    given.set = &["CONFIG.PORT_NO=4"];
    assert!(given.error(BROKER).starts_with("conf/broker.conf:2: PORT_NO = x: "));
}

#[test]
fn a_variable_is_found_in_any_case_and_with_underscores_for_other_signs() {
    let given = environment(&[("mqtt_ha_limits__MAX_PACKET", "2M")]);
    let settings = given.load(SERVER).unwrap();
    assert_eq!(settings.bytes::<u64>("LIMITS", "max-packet"), 2 << 20);
    let origin = Origin::Environment("mqtt_ha_limits__MAX_PACKET".to_owned());
    assert_eq!(settings.origin("LIMITS", "max-packet"), &origin);
}

#[test]
fn a_variable_of_somebody_else_is_left_alone() {
    let given = environment(&[("MQTT_HA_HOME", "x"), ("MQTT_HA", "x"), ("PATH__X", "x")]);
    assert!(given.load(BROKER).is_ok());
}

#[test]
fn an_unknown_variable_is_told_with_the_nearest_known_one() {
    let told = "MQTT_HA_CONFIG__PORT_ON: no such section and key; \
                did you mean MQTT_HA_CONFIG__PORT_NO?";
    assert_eq!(environment(&[("MQTT_HA_CONFIG__PORT_ON", "1")]).error(BROKER), told);
}

#[test]
fn a_bad_value_of_a_variable_is_told_with_its_name() {
    let told = "MQTT_HA_CONFIG__PORT_NO=x: expected a port between 1 and 65535";
    assert_eq!(environment(&[("MQTT_HA_CONFIG__PORT_NO", "x")]).error(BROKER), told);
}

#[test]
fn two_variables_for_one_key_are_a_mistake() {
    let given = environment(&[
        ("MQTT_HA_DISTRIBUTOR__DISTRIBUTION_PORT", "1"),
        ("MQTT_HA_HASERVER__HASERVER_PORT", "1"),
    ]);
    let told = "MQTT_HA_HASERVER__HASERVER_PORT: sets the same key as \
                MQTT_HA_DISTRIBUTOR__DISTRIBUTION_PORT";
    assert_eq!(given.error(BROKER), told);
}

#[test]
fn an_older_spelling_of_a_variable_or_argument_is_noted() {
    let given = Given {
        environment: &[("MQTT_HA_HASERVER__HASERVER_PORT", "1")],
        set: &["HASERVER.DISTRIBUTION_ENABLED=YES"],
        ..Given::default()
    };
    let notes = [
        "MQTT_HA_HASERVER__HASERVER_PORT is the older spelling of \
         MQTT_HA_DISTRIBUTOR__DISTRIBUTION_PORT",
        "--set HASERVER.DISTRIBUTION_ENABLED is the older spelling of \
         DISTRIBUTOR.DISTRIBUTION_ENABLED",
    ];
    assert_eq!(given.load(BROKER).unwrap().notes(), notes);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStringExt;
    let environment = [("MQTT_HA_CONFIG__BANNER".into(), OsString::from_vec(vec![0xff]))];
    let error = load(BROKER, Sources { file: None, environment, set: Vec::new() }).unwrap_err();
    assert_eq!(error.to_string(), "MQTT_HA_CONFIG__BANNER: not text; use UTF-8");
}

#[test]
fn a_wrong_argument_is_told_as_it_was_written() {
    let told = "--set CONFIG.PORT_NO=x: expected a port between 1 and 65535";
    assert_eq!(set(&["CONFIG.PORT_NO=x"]).error(BROKER), told);
    let told = "--set CONFIG.PORT_NO: expected SECTION.KEY=VALUE";
    assert_eq!(set(&["CONFIG.PORT_NO"]).error(BROKER), told);
    assert_eq!(set(&["PORT=1"]).error(BROKER), "--set PORT: expected SECTION.KEY=VALUE");
    let told = "--set CONFIG.PORT_ON: unknown key PORT_ON in [CONFIG]; did you mean PORT_NO?";
    assert_eq!(set(&["CONFIG.PORT_ON=1"]).error(BROKER), told);
    let told = "--set CONFIGS.A: unknown section [CONFIGS]; did you mean [CONFIG]?";
    assert_eq!(set(&["CONFIGS.A=1"]).error(BROKER), told);
}

#[test]
fn the_value_of_an_argument_may_contain_equal_signs_and_dots() {
    let settings = set(&["CONFIG.BANNER=a.b=c"]).load(BROKER).unwrap();
    assert_eq!(settings.text("CONFIG", "BANNER"), "a.b=c");
}

proptest! {
    #[test]
    fn no_input_panics(
        file in "(\\[(CONFIG|HASERVER|é)\\]|PORT_NO|=|[ \n\r\"#;\0é1])*",
        variable in "MQTT_HA_(CONFIG|é|_)__(PORT_NO|é|BIND)",
        set in "(CONFIG|é)?[.=](PORT_NO|é|BIND)=?.{0,5}",
        json in any::<bool>(),
    ) {
        let name = if json { "x.json" } else { "x.conf" };
        let environment = [(variable.as_str(), file.as_str())];
        let given = Given { file: Some((name, &file)), environment: &environment, set: &[&set] };
        let _ = given.load(BROKER);
    }
}
