//! The properties of MQTT 5: one of them is read, and all are passed over.

use bytes::Buf;

use super::{Malformed, variable};

const RECEIVE_MAXIMUM: u8 = 0x21;

/// Takes the properties, with their length in front, from a body.
pub(super) fn take<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = take_variable(body)?;
    let (properties, rest) = body.split_at_checked(length).ok_or(Malformed)?;
    *body = rest;
    Ok(properties)
}

/// How many exchanges the other side allows at a time.
pub(super) fn receive_maximum(mut properties: &[u8]) -> Result<u16, Malformed> {
    let mut found = u16::MAX;
    while let Ok(id) = properties.try_get_u8() {
        if id == RECEIVE_MAXIMUM {
            found = properties.try_get_u16()?;
        } else {
            pass(id, &mut properties)?;
        }
    }
    // Zero is not allowed, and would let nothing through.
    Ok(found.max(1))
}

/// Passes over the value of a property, whose form its identifier says: MQTT 5.0 §2.2.2.2.
fn pass(id: u8, properties: &mut &[u8]) -> Result<(), Malformed> {
    let bytes = match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => 1,
        0x13 | 0x21..=0x23 => 2,
        0x02 | 0x11 | 0x18 | 0x27 => 4,
        0x0b => {
            take_variable(properties)?;
            0
        }
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => text(properties)?,
        0x26 => {
            let name = text(properties)?;
            skip(name, properties)?;
            text(properties)?
        }
        _ => return Err(Malformed),
    };
    skip(bytes, properties)
}

/// The length of a text.
fn text(properties: &mut &[u8]) -> Result<usize, Malformed> {
    Ok(properties.try_get_u16()?.into())
}

fn skip(bytes: usize, properties: &mut &[u8]) -> Result<(), Malformed> {
    *properties = properties.get(bytes..).ok_or(Malformed)?;
    Ok(())
}

fn take_variable(body: &mut &[u8]) -> Result<usize, Malformed> {
    let (number, bytes) = variable(body).ok_or(Malformed)?;
    skip(bytes, body)?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receive_maximum_is_found_behind_properties_of_every_form() {
        let mut properties = vec![0x24, 1, 0x13, 0, 60, 0x27, 0, 1, 0, 0, 0x0b, 0x80, 1];
        properties.extend(b"\x12\x00\x02id\x26\x00\x01n\x00\x03val");
        assert_eq!(receive_maximum(&properties), Ok(u16::MAX));
        properties.extend([0x21, 0, 20]);
        assert_eq!(receive_maximum(&properties), Ok(20));
    }

    #[test]
    fn receive_maximum_of_zero_lets_one_through() {
        assert_eq!(receive_maximum(&[0x21, 0, 0]), Ok(1));
    }

    #[test]
    fn property_that_is_unknown_or_cut_short_is_malformed() {
        for wrong in [&[0x7f, 0][..], &[0x21, 0], &[0x12, 0, 9, b'a'], &[0x0b, 0x80], &[0x26, 0]] {
            assert_eq!(receive_maximum(wrong), Err(Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn properties_longer_than_their_packet_are_malformed() {
        let mut body: &[u8] = &[3, 1, 2];
        assert_eq!(take(&mut body), Err(Malformed));
    }
}
