//! Both sides of the boundary of each kind.

use proptest::prelude::*;

use super::*;

fn accepts(kind: Kind, texts: &[&str]) -> bool {
    texts.iter().all(|text| kind.parse(text).is_ok())
}

fn refuses(kind: Kind, texts: &[&str]) -> bool {
    texts.iter().all(|text| kind.parse(text).is_err())
}

fn refusal(kind: Kind, text: &str) -> String {
    kind.parse(text).unwrap_err()
}

fn list(text: &str) -> Vec<(String, Option<u16>)> {
    let value = Kind::AddressList.parse(text).unwrap();
    value.list().iter().map(|endpoint| (endpoint.host.clone(), endpoint.port)).collect()
}

#[test]
fn a_port_is_1_to_65535() {
    assert!(accepts(Kind::Port, &["1", "65535", " 2000 "]));
    assert!(refuses(Kind::Port, &["0", "65536", "-1", "+1", "2e3", "", "x", "0x10"]));
    assert_eq!(refusal(Kind::Port, "99999"), "expected a port between 1 and 65535");
}

#[test]
fn a_flag_has_five_spellings_of_each_answer() {
    for text in ["YES", "true", "Enabled", "on", "1"] {
        assert_eq!(Kind::Flag.parse(text), Ok(Value::Flag(true)));
    }
    for text in ["NO", "false", "Disabled", "off", "0"] {
        assert_eq!(Kind::Flag.parse(text), Ok(Value::Flag(false)));
    }
    assert_eq!(refusal(Kind::Flag, "maybe"), "expected YES or NO");
    assert!(refuses(Kind::Flag, &["", "2", "y"]));
}

#[test]
fn an_integer_includes_its_bounds() {
    let kind = Kind::Integer { min: 3, max: 5 };
    assert!(accepts(kind, &["3", "5"]) && refuses(kind, &["2", "6", "", "3.0"]));
    assert_eq!(refusal(kind, "6"), "expected a number between 3 and 5");
}

#[test]
fn a_size_includes_its_bounds() {
    let kind = Kind::Bytes { min: 1_024, max: 16 << 20 };
    assert!(
        accepts(kind, &["1024", "1K", "16 MiB"]) && refuses(kind, &["1023", "16777217", "17M"])
    );
    assert_eq!(refusal(kind, "x"), "expected a size between 1 KiB and 16 MiB");
}

#[test]
fn a_time_includes_its_bounds() {
    let kind = Kind::Millis { min: 500, max: 10_000 };
    assert!(accepts(kind, &["500", "500ms", "10s"]) && refuses(kind, &["499", "11s", "0.6s"]));
    assert_eq!(refusal(kind, "x"), "expected a time between 500 ms and 10 s");
}

#[test]
fn a_word_is_returned_as_it_was_declared() {
    let kind = Kind::OneOf(&["SERVE", "CLOSE"]);
    assert_eq!(kind.parse("serve"), Ok(Value::OneOf("SERVE")));
    assert_eq!(refusal(kind, "open"), "expected one of SERVE, CLOSE");
}

#[test]
fn an_address_is_an_ip_address_of_either_version() {
    assert!(accepts(Kind::Address, &["0.0.0.0", "::", "[::1]"]));
    assert!(refuses(Kind::Address, &["localhost", "1.2.3", "1.2.3.4:5", "[::1"]));
}

#[test]
fn an_address_list_mixes_names_and_addresses_with_and_without_port() {
    let expected =
        [("10.0.0.1", None), ("ha-2.local", Some(2001)), ("::1", None), ("::1", Some(7))];
    let expected = expected.map(|(host, port)| (host.to_owned(), port));
    assert_eq!(list("10.0.0.1, ha-2.local:2001,::1 ,[::1]:7"), expected);
}

#[test]
fn what_is_no_host_is_refused() {
    let wrong = ["", "a,", "a b", "a:0", "a:65536", "a:", ":1", "1.2.3.4.5", "1.2.3", "-a", "a..b"];
    assert!(refuses(Kind::AddressList, &wrong));
    assert!(refuses(Kind::AddressList, &["http://a", "::1:2:3:4:5:6:7:8:9", "[::1", "[::1]x"]));
}

#[test]
fn an_address_list_has_64_entries_at_most() {
    assert!(accepts(Kind::AddressList, &[&vec!["a"; 64].join(",")]));
    assert!(refuses(Kind::AddressList, &[&vec!["a"; 65].join(",")]));
}

#[test]
fn a_host_name_has_63_bytes_per_label_at_most() {
    assert!(accepts(Kind::AddressList, &[&"a".repeat(63)]));
    assert!(refuses(Kind::AddressList, &[&"a".repeat(64)]));
}

#[test]
fn a_path_is_not_empty() {
    assert_eq!(Kind::Path.parse("/var/lib/x").unwrap().path(), "/var/lib/x");
    assert!(refuses(Kind::Path, &["", " "]));
}

#[test]
fn every_kind_refuses_control_characters_and_4097_bytes() {
    assert_eq!(refusal(Kind::Text, "a\nb"), "expected text without control characters");
    assert!(accepts(Kind::Text, &["", &"x".repeat(4096)]));
    assert_eq!(refusal(Kind::Text, &"x".repeat(4097)), "expected at most 4096 bytes");
}

#[test]
fn a_secret_is_not_shown_by_debug() {
    let value = Kind::Secret.parse("swordfish").unwrap();
    assert_eq!(value.secret(), "swordfish");
    assert!(!format!("{value:?}").contains("swordfish"));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let (min, max) = (0, u64::MAX);
        for kind in [
            Kind::Text, Kind::Port, Kind::Flag, Kind::Integer { min, max }, Kind::Bytes { min, max },
            Kind::Millis { min, max }, Kind::Address, Kind::AddressList, Kind::Path,
        ] {
            let _ = kind.parse(&text);
        }
    }
}
