//! What lies in the log: positions, payloads and votes, and their bytes.
//!
//! The log library writes `type, fields, checksum` for each record. A payload begins with a header
//! that has a checksum of its own, so that a damaged length is told from the end of the file: the
//! first is damage, the second a write that power loss cut short.

use std::cmp::Ordering;
use std::io::{self, Read, Write};

use bytes::Bytes;
use raft_log::codeq::{Decode, Encode};

/// Largest payload that is read back. Nothing larger is ever written.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Position of an entry: the term of the leader that appended it, and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// For whom this node voted, and whether a majority did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

impl PartialOrd for Vote {
    /// Two candidates of one term cannot be compared; the one that was elected is above both.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = (self.term, self.committed).cmp(&(other.term, other.committed));
        (order != Ordering::Equal || self.node == other.node).then_some(order)
    }
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Nothing: the entry with which a leader begins.
    Blank,
    /// A command of the machine.
    Command(Bytes),
    /// The members from here on, encoded.
    Membership(Bytes),
}

impl Payload {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Blank => &[],
            Self::Command(bytes) | Self::Membership(bytes) => bytes,
        }
    }

    fn tag(&self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Command(_) => 1,
            Self::Membership(_) => 2,
        }
    }
}

fn header_check(tag: u8, length: u32) -> u32 {
    let [a, b, c, d] = length.to_be_bytes();
    crc32fast::hash(&[tag, a, b, c, d])
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_u64(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_u8(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

impl Encode for Position {
    fn encode<W: Write>(&self, mut to: W) -> io::Result<usize> {
        to.write_all(&self.term.to_be_bytes())?;
        to.write_all(&self.index.to_be_bytes())?;
        Ok(16)
    }
}

impl Decode for Position {
    fn decode<R: Read>(mut from: R) -> io::Result<Self> {
        Ok(Self { term: read_u64(&mut from)?, index: read_u64(&mut from)? })
    }
}

impl Encode for Vote {
    fn encode<W: Write>(&self, mut to: W) -> io::Result<usize> {
        to.write_all(&self.term.to_be_bytes())?;
        to.write_all(&self.node.to_be_bytes())?;
        to.write_all(&[u8::from(self.committed)])?;
        Ok(17)
    }
}

impl Decode for Vote {
    fn decode<R: Read>(mut from: R) -> io::Result<Self> {
        let (term, node) = (read_u64(&mut from)?, read_u64(&mut from)?);
        let committed = match read_u8(&mut from)? {
            0 => false,
            1 => true,
            _ => return Err(damaged("a vote is neither committed nor not")),
        };
        Ok(Self { term, node, committed })
    }
}

impl Encode for Payload {
    fn encode<W: Write>(&self, mut to: W) -> io::Result<usize> {
        let (tag, bytes) = (self.tag(), self.bytes());
        let length = u32::try_from(bytes.len()).map_err(|_| damaged("a payload above 4 GiB"))?;
        to.write_all(&[tag])?;
        to.write_all(&length.to_be_bytes())?;
        to.write_all(&header_check(tag, length).to_be_bytes())?;
        to.write_all(bytes)?;
        Ok(9 + bytes.len())
    }
}

impl Decode for Payload {
    fn decode<R: Read>(mut from: R) -> io::Result<Self> {
        let (tag, length) = (read_u8(&mut from)?, read_u32(&mut from)?);
        let check = read_u32(&mut from)?;
        if check != header_check(tag, length) || length as usize > PAYLOAD_BYTES_MAX {
            return Err(damaged("the length of a payload is damaged"));
        }
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes)?;
        match tag {
            0 if bytes.is_empty() => Ok(Self::Blank),
            1 => Ok(Self::Command(bytes.into())),
            2 => Ok(Self::Membership(bytes.into())),
            _ => Err(damaged("an unknown kind of payload")),
        }
    }
}

/// The log library keeps a value of the application; there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nothing;

impl Encode for Nothing {
    fn encode<W: Write>(&self, _: W) -> io::Result<usize> {
        Ok(0)
    }
}

impl Decode for Nothing {
    fn decode<R: Read>(_: R) -> io::Result<Self> {
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_survives_its_bytes() {
        let bytes = || Bytes::from_static(b"abc");
        for payload in [Payload::Blank, Payload::Command(bytes()), Payload::Membership(bytes())] {
            let mut encoded = Vec::new();
            let size = payload.encode(&mut encoded).unwrap();
            assert_eq!(size, encoded.len());
            assert_eq!(Payload::decode(&encoded[..]).unwrap(), payload);
        }
    }

    #[test]
    fn each_flipped_bit_of_a_length_is_damage_and_never_the_end_of_the_file() {
        let mut encoded = Vec::new();
        Payload::Command(Bytes::from_static(b"abc")).encode(&mut encoded).unwrap();
        for bit in 0..9 * 8 {
            let mut flipped = encoded.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = Payload::decode(&flipped[..]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "bit {bit}");
        }
    }

    #[test]
    fn elected_leader_is_above_every_candidate_of_its_term() {
        let vote = |term, node, committed| Vote { term, node, committed };
        assert!(vote(3, 1, true) > vote(3, 2, false));
        assert!(vote(4, 1, false) > vote(3, 2, true));
        assert_eq!(vote(3, 1, false).partial_cmp(&vote(3, 2, false)), None);
    }
}
