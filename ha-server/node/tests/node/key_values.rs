//! The simplest machine: keys and values.

use std::collections::BTreeMap;
use std::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ha_node::{Change, CorruptRecord, LoadError, Machine};

/// Keys and their values.
#[derive(Debug, Default)]
pub(crate) struct KeyValues {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// The command that sets `key`; an empty value removes it.
pub(crate) fn put(key: &str, value: &[u8]) -> Bytes {
    let mut command = BytesMut::new();
    command.put_u16(key.len().try_into().unwrap());
    command.put_slice(key.as_bytes());
    command.put_slice(value);
    command.freeze()
}

impl KeyValues {
    pub(crate) fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn all(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.values.clone()
    }
}

impl Machine for KeyValues {
    /// The value before.
    type Outcome = Option<Vec<u8>>;

    fn apply(&mut self, _: u64, mut command: Bytes) -> Self::Outcome {
        let length = command.try_get_u16().ok()?;
        if command.len() < usize::from(length) {
            return None;
        }
        let key = command.split_to(length.into()).to_vec();
        let value = (!command.is_empty()).then(|| command.to_vec());
        self.changed.insert(key.clone(), value.clone());
        match value {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        }
    }

    fn take_changes(&mut self) -> Vec<Change> {
        mem::take(&mut self.changed).into_iter().collect()
    }

    fn load(
        &mut self,
        records: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), LoadError> {
        self.changed.clear();
        self.values = records.collect();
        match self.values.get(b"corrupt".as_slice()) {
            None => Ok(()),
            Some(_) => {
                Err(CorruptRecord { key: b"corrupt".to_vec(), reason: "as asked".to_owned() }
                    .into())
            }
        }
    }
}
