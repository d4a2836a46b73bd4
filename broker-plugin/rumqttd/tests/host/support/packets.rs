//! MQTT packets, written out.

/// A packet of at most 268,435,455 bytes.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut len = body.len();
    loop {
        let byte = u8::try_from(len & 0x7F).unwrap();
        len >>= 7;
        if len == 0 {
            bytes.push(byte);
            break;
        }
        bytes.push(byte | 0x80);
    }
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Property length and properties, up to 127 bytes.
pub(crate) fn properties(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// CONNECT of 3.1.1 without keep alive.
pub(crate) fn connect_v4(client_id: &str, flags: u8) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04", &[flags, 0, 0][..], &text(client_id)].concat())
}

/// CONNECT of 5.0 without keep alive.
pub(crate) fn connect_v5(client_id: &str, flags: u8, props: &[u8]) -> Vec<u8> {
    let id = text(client_id);
    packet(0x10, &[b"\0\x04MQTT\x05", &[flags, 0, 0][..], &properties(props), &id].concat())
}

/// CONNECT with a clean session, user name and password.
pub(crate) fn connect_as(level: u8, user_name: &str, password: &str) -> Vec<u8> {
    let no_properties = if level == 5 { &[0][..] } else { &[] };
    let credentials = [text("client"), text(user_name), text(password)].concat();
    let head = [b"\0\x04MQTT", &[level, 0xC2, 0, 0][..], no_properties].concat();
    packet(0x10, &[head, credentials].concat())
}

/// CONNECT of 5.0 with a clean session and a will at `w`.
pub(crate) fn connect_v5_with_will(
    client_id: &str,
    flags: u8,
    props: &[u8],
    will_props: &[u8],
) -> Vec<u8> {
    let fields = [&[flags | 0x04, 0, 0][..], &properties(props), &text(client_id)].concat();
    let will = [properties(will_props), text("w"), text("gone")].concat();
    packet(0x10, &[b"\0\x04MQTT\x05", &fields[..], &will].concat())
}

pub(crate) fn publish_v4(topic: &str, qos: u8, packet_id: u16, payload: &str) -> Vec<u8> {
    let id = if qos == 0 { vec![] } else { packet_id.to_be_bytes().to_vec() };
    packet(0x30 | qos << 1, &[text(topic), id, payload.as_bytes().to_vec()].concat())
}

pub(crate) fn publish_v5(
    topic: &str,
    (qos, packet_id): (u8, u16),
    props: &[u8],
    payload: &str,
) -> Vec<u8> {
    let id = if qos == 0 { vec![] } else { packet_id.to_be_bytes().to_vec() };
    let payload = payload.as_bytes().to_vec();
    packet(0x30 | qos << 1, &[text(topic), id, properties(props), payload].concat())
}

pub(crate) fn subscribe_v4(packet_id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    packet(0x82, &[packet_id.to_be_bytes().to_vec(), options(filters)].concat())
}

pub(crate) fn subscribe_v5(packet_id: u16, props: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
    let id = packet_id.to_be_bytes().to_vec();
    packet(0x82, &[id, properties(props), options(filters)].concat())
}

fn options(filters: &[(&str, u8)]) -> Vec<u8> {
    filters.iter().flat_map(|&(filter, options)| [text(filter), vec![options]].concat()).collect()
}
