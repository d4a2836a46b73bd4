//! What stands in the file, INI or JSON.

use super::*;

#[test]
fn a_bad_value_is_told_with_its_line() {
    let told = "conf/HAServer.conf:3: HA_port = 99999: expected a port between 1 and 65535";
    assert_eq!(server("\n[HA_SERVER]\nHA_port = 99999").error(SERVER), told);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    let told = "conf/broker.conf:2: unknown key DISTRIBUTION_PROT in [DISTRIBUTOR]; \
                did you mean DISTRIBUTION_PORT?";
    assert_eq!(broker("[DISTRIBUTOR]\nDISTRIBUTION_PROT = 1").error(BROKER), told);
    let told = "conf/broker.conf:2: unknown key COLOUR in [DISTRIBUTOR]";
    assert_eq!(broker("[DISTRIBUTOR]\nCOLOUR = 1").error(BROKER), told);
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    let told = "conf/broker.conf:2: unknown key PORT_NO in [DISTRIBUTOR]; it belongs to [CONFIG]";
    assert_eq!(broker("[DISTRIBUTOR]\nPORT_NO = 1").error(BROKER), told);
}

#[test]
fn an_unknown_section_is_told_once_with_the_nearest_known_one() {
    let told = "conf/broker.conf:1: unknown section [DISTRIBUTER]; did you mean [DISTRIBUTOR]?";
    assert_eq!(broker("[DISTRIBUTER]\nA = 1\nB = 2").error(BROKER), told);
}

#[test]
fn an_older_spelling_is_accepted_and_noted() {
    let settings = broker("\n[haserver]\nHASERVER_PORT = 7").load(BROKER).unwrap();
    assert_eq!(settings.port("DISTRIBUTOR", "DISTRIBUTION_PORT"), 7);
    let notes = [
        "conf/broker.conf:2: [haserver] is the older spelling of [DISTRIBUTOR]",
        "conf/broker.conf:3: HASERVER_PORT is the older spelling of DISTRIBUTION_PORT",
    ];
    assert_eq!(settings.notes(), notes);
}

#[test]
fn a_key_in_both_spellings_is_set_twice() {
    let text = "[DISTRIBUTOR]\nDISTRIBUTION_PORT = 1\n[HASERVER]\nHASERVER_PORT = 1";
    let told = "conf/broker.conf:4: HASERVER_PORT is already set on line 2";
    assert_eq!(broker(text).error(BROKER), told);
}

#[test]
fn a_required_section_must_stand_in_the_file() {
    let told = "conf/HAServer.conf:1: section [HA_SERVER] is missing";
    assert_eq!(server("").error(SERVER), told);
    assert!(server("[HA_Server]").load(SERVER).is_ok());
    assert!(Given::default().load(SERVER).is_ok());
}

#[test]
fn mistakes_of_syntax_and_meaning_are_told_together_in_the_order_of_lines() {
    let mut given = broker("[CONFIG]\nPORT_NO = 0\nx\nX = 1");
    given.set = &["CONFIG.BIND=x"];
    given.environment = &[("MQTT_HA_CONFIG__X", "1")];
    let told = given.error(BROKER);
    let starts = ["conf/broker.conf:2: ", "conf/broker.conf:3: ", "conf/broker.conf:4: "];
    let starts = starts.into_iter().chain(["MQTT_HA_CONFIG__X: ", "--set CONFIG.BIND=x: "]);
    assert!(told.lines().zip(starts).all(|(line, start)| line.starts_with(start)), "{told}");
    assert_eq!(told.lines().count(), 5);
}

#[test]
fn a_file_that_is_no_text_is_told_once() {
    assert_eq!(server("\0").error(SERVER).lines().count(), 1);
}

#[test]
fn json_is_read_flat_and_nested_and_has_its_own_defaults() {
    let port = |text| json(text).load(SERVER).unwrap().port("HA_SERVER", "HA_port");
    assert_eq!(port("{\"HA_port\": 7}"), 7);
    assert_eq!(port("{\"HA_SERVER\": {\"ha_PORT\": \"7\"}}"), 7);
    assert_eq!(port("{}"), 8082);
    let settings = json("{\"lease\": 750}").load(SERVER).unwrap();
    let notes = ["config.json: JSON is the older form of this file; the current one is INI"];
    assert_eq!(settings.notes(), notes);
    assert_eq!(settings.millis("HA_SERVER", "lease"), 750);
}

#[test]
fn mistakes_in_json_are_told_with_their_line() {
    let told = "config.json:3: HA_port = 0: expected a port between 1 and 65535";
    assert_eq!(json("{\n\"HA_SERVER\": {\n\"HA_port\": 0}}").error(SERVER), told);
    let told = "config.json:2: unknown key HA_prot in [HA_SERVER]; did you mean HA_port?";
    assert_eq!(json("{\n\"HA_prot\": 1}").error(SERVER), told);
    let told = "config.json:1: section [HA_SERVER] is missing";
    assert_eq!(json("{\"LIMITS\": {}}").error(SERVER), told);
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_name() {
    let missing = Path::new("no/such/file.conf");
    let error = ConfigFile::read(missing).unwrap_err();
    assert!(error.to_string().starts_with("no/such/file.conf: cannot be read: "));
    assert_eq!(ConfigFile::read_if_present(missing), Ok(None));
}

#[test]
fn a_file_that_is_present_is_read() {
    let path = Path::new("Cargo.toml");
    let file = ConfigFile::read_if_present(path).unwrap().unwrap();
    assert!(file.bytes.starts_with(b"[package]"));
}
