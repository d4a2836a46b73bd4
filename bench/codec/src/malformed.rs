//! Packets of 5.0 that a client must not send, and which codecs take them.

use std::panic::catch_unwind;
use std::sync::Arc;

use broker_core::codec::{FromClient, Version, frame};
use bytes::BytesMut;
use mqtt_protocol_core::mqtt::packet::v5_0;
use rumqttd::protocol::{Protocol, v5::V5};
use tokio_util::codec::Decoder;

const PACKETS: [(&str, &[u8]); 22] = [
    ("topic with a wildcard", b"\x30\x06\0\x03a/+\0"),
    ("topic that is not UTF-8", b"\x30\x04\0\x01\xFF\0"),
    ("topic with U+0000", b"\x30\x04\0\x01\0\0"),
    ("padded remaining length", b"\x30\x84\0\0\x01t\0"),
    ("padded property length", b"\x30\x05\0\x01t\x80\0"),
    ("DUP at QoS 0", b"\x38\x04\0\x01t\0"),
    ("packet identifier 0", b"\x32\x06\0\x01t\0\0\0"),
    ("neither topic nor alias", b"\x30\x03\0\0\0"),
    ("topic alias 0", b"\x30\x07\0\x01t\x03\x23\0\0"),
    ("subscription identifier in PUBLISH", b"\x30\x06\0\x01t\x02\x0B\x01"),
    ("property that appears twice", b"\x30\x0C\0\x01t\x08\x03\0\x01a\x03\0\x01a"),
    ("payload format 2", b"\x30\x06\0\x01t\x02\x01\x02"),
    ("response topic with a wildcard", b"\x30\x08\0\x01t\x04\x08\0\x01#"),
    ("property length that does not fit", b"\x30\x06\0\x01t\x05\x01\x01"),
    ("PUBREL with flags 0000", b"\x60\x02\0\x01"),
    ("SUBSCRIBE without a filter", b"\x82\x03\0\x01\0"),
    ("SUBSCRIBE with QoS 3", b"\x82\x07\0\x01\0\0\x01a\x03"),
    ("SUBSCRIBE with reserved bits", b"\x82\x07\0\x01\0\0\x01a\xC0"),
    ("subscription identifier 0", b"\x82\x09\0\x01\x02\x0B\0\0\x01a\0"),
    ("PUBACK with bytes that follow", b"\x40\x05\0\x01\0\0\x09"),
    ("PUBACK with reason code 4", b"\x40\x03\0\x01\x04"),
    ("PINGREQ with a body", b"\xC0\x01\0"),
];

/// A table of what each codec does with each packet.
pub(crate) fn print() {
    println!("| packet | ours | rumqttd | mqtt-protocol-core | rmqtt-codec |");
    println!("|---|---|---|---|---|");
    for (name, packet) in PACKETS {
        let verdicts = [
            verdict(|| Some(ours(packet))),
            verdict(|| Some(V5.read_mut(&mut BytesMut::from(packet), 1 << 20).is_ok())),
            verdict(|| protocol_core(packet)),
            verdict(|| Some(rmqtt(packet))),
        ];
        println!("| {name} | {} |", verdicts.join(" | "));
    }
}

fn verdict(takes: impl FnOnce() -> Option<bool> + std::panic::UnwindSafe) -> &'static str {
    match catch_unwind(takes) {
        Ok(Some(true)) => "takes it",
        Ok(Some(false)) => "refuses",
        Ok(None) => "–",
        Err(_) => "panics",
    }
}

fn ours(packet: &[u8]) -> bool {
    let frame = frame::split(&mut BytesMut::from(packet), 1 << 20).unwrap().unwrap();
    FromClient::decode(Version::V5, frame).is_ok()
}

fn rmqtt(packet: &[u8]) -> bool {
    let mut codec = rmqtt_codec::v5::Codec::new(1 << 20, 0);
    matches!(codec.decode(&mut BytesMut::from(packet)), Ok(Some(_)))
}

/// `None`: fixed header and packets without a body are not for its packet layer.
fn protocol_core(packet: &[u8]) -> Option<bool> {
    let (first, body) = (packet[0], packet.get(2..)?);
    let whole = |parsed: Result<usize, _>| parsed.is_ok_and(|len| len == body.len());
    match first >> 4 {
        3 if packet[1] & 0x80 == 0 => {
            let parsed = v5_0::Publish::parse(first & 0x0F, Arc::from(body));
            Some(whole(parsed.map(|(_, len)| len).map_err(drop)))
        }
        4 => Some(whole(v5_0::Puback::parse(body).map(|(_, len)| len).map_err(drop))),
        8 => Some(whole(v5_0::Subscribe::parse(body).map(|(_, len)| len).map_err(drop))),
        _ => None,
    }
}
