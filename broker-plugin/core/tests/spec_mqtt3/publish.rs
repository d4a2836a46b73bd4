//! §3.3 PUBLISH.

use broker_core::codec::{FromClient, Topic};

use crate::common::received;
use crate::spec::{NOT_UTF_8, field};

/// [MQTT-3.3.1-2]
#[test]
fn dup_at_qos_0_ends_the_connection() {
    assert!(received(0x38, b"\0\x01t").is_err());
    assert!(received(0x3A, b"\0\x01t\0\x01").is_ok());
    assert!(received(0x3C, b"\0\x01t\0\x01").is_ok());
}

/// [MQTT-3.3.1-4]
#[test]
fn qos_3_ends_the_connection() {
    for first in [0x36, 0x37, 0x3E, 0x3F] {
        assert!(received(first, b"\0\x01t\0\x01").is_err(), "{first:#x}");
    }
}

/// [MQTT-3.3.2-1]
#[test]
fn topic_name_comes_first_and_is_utf_8() {
    let Ok(FromClient::Publish(publish)) = received(0x32, b"\0\x02\xC3\xA9\0\x01m") else {
        panic!()
    };
    assert!(matches!(publish.topic, Topic::Name(name) if name.as_str() == "é"));
    assert!(received(0x30, b"").is_err());
    for bytes in NOT_UTF_8 {
        assert!(received(0x30, &field(bytes)).is_err(), "{bytes:x?}");
    }
}

/// [MQTT-3.3.2-2]
#[test]
fn topic_name_has_no_wildcards() {
    for name in ["#", "+", "a/#", "a/+/b", "a#", "+a"] {
        assert!(received(0x30, &field(name)).is_err(), "{name}");
    }
}
