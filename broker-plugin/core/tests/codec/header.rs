//! Fixed header, direction, and packets without much in them (§2, §3.12 to §3.15).

use broker_core::codec::frame::split;
use broker_core::codec::{Disconnect, FromClient, FromServer, Version};
use bytes::BytesMut;

use crate::common::{MALFORMED, PROTOCOL_ERROR, from_client, from_server, reason};

#[test]
fn packet_type_0_does_not_exist() {
    for version in Version::ALL {
        assert_eq!(reason(from_client(version, 0x00, &[])), MALFORMED);
        assert_eq!(reason(from_server(version, 0x00, &[])), MALFORMED);
    }
}

/// [MQTT-3.1.0-2]
#[test]
fn second_connect_is_a_protocol_error() {
    let body = b"\0\x04MQTT\x05\x02\0\0\0\0\x01c";
    assert_eq!(reason(from_client(Version::V5, 0x10, body)), PROTOCOL_ERROR);
}

#[test]
fn packets_that_only_the_other_side_sends_are_protocol_errors() {
    for first in [0x20, 0x90, 0xB0, 0xD0] {
        assert_eq!(reason(from_client(Version::V5, first, &[])), PROTOCOL_ERROR, "{first:#x}");
    }
    for first in [0x10, 0x82, 0xA2, 0xC0] {
        assert_eq!(reason(from_server(Version::V5, first, &[])), PROTOCOL_ERROR, "{first:#x}");
    }
    assert_eq!(reason(from_server(Version::V311, 0xE0, &[])), PROTOCOL_ERROR);
}

/// [MQTT-2.1.3-1], 3.1.1 [MQTT-2.2.2-1], [MQTT-2.2.2-2]; [MQTT-3.6.1-1], [MQTT-3.14.1-1],
/// [MQTT-3.15.1-1]
#[test]
fn reserved_flags_are_as_specified() {
    for version in [Version::V311, Version::V5] {
        for first in [0x41, 0x52, 0x60, 0x64, 0x6A, 0x78, 0xC1, 0xE8, 0xF1] {
            assert_eq!(reason(from_client(version, first, &[0, 1])), MALFORMED, "{first:#x}");
        }
        assert!(from_client(version, 0x62, &[0, 1]).is_ok());
    }
    assert!(from_client(Version::V31, 0x6A, &[0, 1]).is_ok());
}

/// [MQTT-1.5.5-1]
#[test]
fn padded_remaining_length_is_malformed_in_5_0_only() {
    let frame = split(&mut BytesMut::from(&[0xC0, 0x80, 0][..]), 100).unwrap().unwrap();
    assert_eq!(reason(FromClient::decode(Version::V5, frame.clone())), MALFORMED);
    assert_eq!(FromClient::decode(Version::V311, frame), Ok(FromClient::Pingreq));
}

#[test]
fn ping_has_no_body() {
    assert_eq!(from_client(Version::V5, 0xC0, &[]), Ok(FromClient::Pingreq));
    assert_eq!(from_server(Version::V31, 0xD0, &[]), Ok(FromServer::Pingresp));
    assert_eq!(reason(from_client(Version::V5, 0xC0, &[1])), MALFORMED);
}

/// §3.14.2.1, §3.14.2.2.1
#[test]
fn disconnect_may_leave_out_what_is_success_or_empty() {
    let reason_of = |body: &[u8]| match from_client(Version::V5, 0xE0, body) {
        Ok(FromClient::Disconnect(disconnect)) => disconnect.reason.0,
        other => panic!("not a DISCONNECT: {other:?}"),
    };
    assert_eq!(reason_of(&[]), 0);
    assert_eq!(reason_of(&[4]), 4);
    assert_eq!(reason_of(&[4, 0]), 4);
    assert_eq!(
        from_client(Version::V311, 0xE0, &[]),
        Ok(FromClient::Disconnect(Disconnect::default()))
    );
    assert_eq!(reason(from_client(Version::V311, 0xE0, &[0])), MALFORMED);
}

/// [MQTT-3.14.2-1]; 5.0 §3.14.2.2.2
#[test]
fn disconnect_has_reasons_and_properties_of_its_sender() {
    assert_eq!(reason(from_client(Version::V5, 0xE0, &[0x8E])), PROTOCOL_ERROR);
    assert_eq!(reason(from_client(Version::V5, 0xE0, &[0x01])), PROTOCOL_ERROR);
    let expiry = [0, 5, 0x11, 0, 0, 0, 9];
    let Ok(FromClient::Disconnect(disconnect)) = from_client(Version::V5, 0xE0, &expiry) else {
        panic!("refused")
    };
    assert_eq!(disconnect.session_expiry_s, Some(9));
    assert_eq!(reason(from_server(Version::V5, 0xE0, &expiry)), MALFORMED);
    let reference = b"\x9C\x04\x1C\0\x01s";
    assert!(from_server(Version::V5, 0xE0, reference).is_ok());
    assert_eq!(reason(from_client(Version::V5, 0xE0, b"\0\x04\x1C\0\x01s")), MALFORMED);
}

/// 5.0 §3.15.2.2.2, [MQTT-3.15.2-1]
#[test]
fn auth_needs_a_method_and_a_reason_of_its_sender() {
    assert!(from_client(Version::V5, 0xF0, b"\x18\x04\x15\0\x01m").is_ok());
    assert!(from_client(Version::V5, 0xF0, b"\x19\x08\x15\0\x01m\x16\0\x01d").is_ok());
    assert_eq!(reason(from_client(Version::V5, 0xF0, &[])), PROTOCOL_ERROR);
    assert_eq!(reason(from_client(Version::V5, 0xF0, &[0x18, 0])), PROTOCOL_ERROR);
    assert_eq!(reason(from_client(Version::V5, 0xF0, &[0x18])), MALFORMED);
    let success = b"\x00\x04\x15\0\x01m";
    assert_eq!(reason(from_client(Version::V5, 0xF0, success)), PROTOCOL_ERROR);
    assert!(from_server(Version::V5, 0xF0, success).is_ok());
}

/// 3.1.1 §2.2.1: type 15 is reserved.
#[test]
fn auth_does_not_exist_before_5_0() {
    assert_eq!(reason(from_client(Version::V311, 0xF0, b"\x18\x04\x15\0\x01m")), MALFORMED);
}
