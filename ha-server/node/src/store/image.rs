//! A snapshot as one stream of bytes: records in key order, cut into parts.

use std::io::{self, Read};

use bytes::{BufMut, Bytes, BytesMut};

use super::Record;
use crate::error::StoreError;

/// Most bytes of one part.
pub(crate) const PART_BYTES_MAX: usize = 1 << 20;
/// Longest key or value that is read.
const FIELD_BYTES_MAX: u32 = 1 << 30;

/// Length and checksum of all parts of a stream so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    hasher: crc32fast::Hasher,
    pub(crate) bytes: u64,
}

impl Digest {
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.hasher.update(part);
        self.bytes += part.len() as u64;
    }

    pub(crate) fn checksum(&self) -> u32 {
        self.hasher.clone().finalize()
    }
}

/// Cuts records into parts. Stops early when `take` answers `false`.
pub(crate) fn stream_records(
    records: impl Iterator<Item = Result<Record, StoreError>>,
    mut take: impl FnMut(Bytes) -> bool,
) -> Result<Digest, StoreError> {
    let (mut digest, mut part) = (Digest::default(), BytesMut::new());
    let mut emit = |part: Bytes| {
        digest.add(&part);
        take(part)
    };
    for record in records {
        put(&mut part, &record?)?;
        while part.len() >= PART_BYTES_MAX {
            if !emit(part.split_to(PART_BYTES_MAX).freeze()) {
                return Ok(digest);
            }
        }
    }
    if !part.is_empty() {
        emit(part.freeze());
    }
    Ok(digest)
}

fn put(part: &mut BytesMut, (key, value): &Record) -> Result<(), StoreError> {
    for field in [key, value] {
        let length = u32::try_from(field.len()).ok().filter(|&length| length <= FIELD_BYTES_MAX);
        part.put_u32(length.ok_or_else(|| damaged("a record above 1 GiB"))?);
    }
    part.put_slice(key);
    part.put_slice(value);
    Ok(())
}

fn damaged(reason: &str) -> StoreError {
    StoreError::Snapshot(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// Reads a stream back. Ends after the first error.
pub(crate) fn read_records(
    mut from: impl Read,
) -> impl Iterator<Item = Result<Record, StoreError>> {
    let mut last: Option<Vec<u8>> = None;
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let record = read_record(&mut from, last.as_deref()).transpose()?;
        failed = record.is_err();
        last = record.as_ref().ok().map(|(key, _)| key.clone());
        Some(record)
    })
}

fn read_record(from: &mut impl Read, last: Option<&[u8]>) -> Result<Option<Record>, StoreError> {
    let mut head = [0; 8];
    match read_or_end(from, &mut head).map_err(StoreError::Snapshot)? {
        End::Reached => return Ok(None),
        End::Ahead => (),
    }
    let [a, b, c, d, e, f, g, h] = head;
    let key = read_field(from, u32::from_be_bytes([a, b, c, d]))?;
    let value = read_field(from, u32::from_be_bytes([e, f, g, h]))?;
    // The database takes records in order only.
    if last.is_some_and(|last| last >= key.as_slice()) {
        return Err(damaged("the records of a snapshot are out of order"));
    }
    Ok(Some((key, value)))
}

enum End {
    Reached,
    Ahead,
}

fn read_or_end(from: &mut impl Read, head: &mut [u8]) -> io::Result<End> {
    if from.read(&mut head[..1])? == 0 {
        return Ok(End::Reached);
    }
    from.read_exact(&mut head[1..])?;
    Ok(End::Ahead)
}

fn read_field(from: &mut impl Read, length: u32) -> Result<Vec<u8>, StoreError> {
    if length > FIELD_BYTES_MAX {
        return Err(damaged("a record above 1 GiB"));
    }
    let mut field = Vec::new();
    let read = from.take(length.into()).read_to_end(&mut field).map_err(StoreError::Snapshot)?;
    if read != length as usize {
        return Err(damaged("a record of a snapshot ends early"));
    }
    Ok(field)
}
