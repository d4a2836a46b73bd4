//! MQTT control packets as bytes: as much of them as [`crate::Client`] needs.

/// Fixed header byte and what follows the length.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) header: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    /// MQTT control packet type (§2.1.2).
    pub(crate) fn kind(&self) -> u8 {
        self.header >> 4
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.header];
        let mut length = self.body.len();
        loop {
            let digit = u8::try_from(length % 128).expect("below 128");
            length /= 128;
            bytes.push(if length > 0 { digit | 128 } else { digit });
            if length == 0 {
                break;
            }
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Takes the first packet from `buffer`. `None`: it is not complete.
    pub(crate) fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let (length, digits) = variable(buffer.get(1..)?)?;
        let end = 1 + digits + length;
        let body = buffer.get(1 + digits..end)?.to_vec();
        let header = buffer[0];
        buffer.drain(..end);
        Some(Self { header, body })
    }
}

/// A variable byte integer at the start of `bytes`, and how many bytes it has.
pub(crate) fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let last = bytes.iter().take(4).position(|byte| byte & 128 == 0)?;
    let value =
        bytes[..=last].iter().rev().fold(0, |sum, byte| sum * 128 + usize::from(byte & 127));
    Some((value, last + 1))
}

/// Length and bytes, as MQTT writes text and binary values.
pub(crate) fn put(body: &mut Vec<u8>, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("a test uses short values");
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(value);
}

/// The two-byte number at `at`.
pub(crate) fn number(body: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([body[at], body[at + 1]])
}
