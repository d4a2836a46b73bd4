//! §1.5: strings.

use crate::common::{connect, received};
use crate::spec::{NOT_UTF_8, field};

/// [MQTT-1.5.3-1]
#[test]
fn string_that_is_no_utf_8_ends_the_connection() {
    for bytes in NOT_UTF_8 {
        assert!(received(0x30, &field(bytes)).is_err(), "{bytes:x?}");
        assert!(connect(0x02, &[&field(bytes)]).is_err(), "{bytes:x?}");
    }
    assert!(received(0x30, &field("é€😀")).is_ok());
}

/// [MQTT-1.5.3-2]
#[test]
fn string_with_u_0000_ends_the_connection() {
    assert!(received(0x30, &field(b"a\0b")).is_err());
    assert!(connect(0x02, &[&field(b"a\0b")]).is_err());
    assert!(received(0x30, &field(b"a\x01b")).is_ok());
}

/// [MQTT-1.5.3-3]
#[test]
fn byte_order_mark_is_a_character_like_any_other() {
    let client_id = connect(0x02, &[&field(b"\xEF\xBB\xBFa")]).unwrap().client_id;
    assert_eq!(client_id.as_str(), "\u{FEFF}a");
}
