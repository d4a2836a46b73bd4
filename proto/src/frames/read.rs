//! Frames into values.

use bytes::BytesMut;
use ha_types::limits::{FRAME_ITEMS_MAX, PACKET_BYTES_MAX};

use super::direction::Direction;
use crate::convert::ProtocolError;

/// Reads the frames of one direction of one stream.
pub struct Reader<D: Direction> {
    /// Parts that are complete, and what they weigh.
    parts: Option<(D::Item, usize)>,
    chunked: Option<Chunked<D::Item>>,
}

/// An item, or part, whose message is not complete.
struct Chunked<Item> {
    item: Item,
    more: bool,
    payload: BytesMut,
    missing: usize,
}

impl<D: Direction> std::fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let missing = self.chunked.as_ref().map_or(0, |chunked| chunked.missing);
        let parts = self.parts.as_ref().map_or(0, |(_, bytes)| *bytes);
        f.debug_struct("Reader")
            .field("missing_bytes", &missing)
            .field("bytes_of_parts", &parts)
            .finish()
    }
}

impl<D: Direction> Default for Reader<D> {
    fn default() -> Self {
        Self { parts: None, chunked: None }
    }
}

impl<D: Direction> Reader<D> {
    /// The values that are complete with this frame, in order.
    ///
    /// # Errors
    /// [`ProtocolError`]; the stream must then be ended.
    pub fn read(&mut self, frame: D::Frame) -> Result<Vec<D::Value>, ProtocolError> {
        let items = D::items(frame);
        if items.len() > FRAME_ITEMS_MAX {
            return Err(ProtocolError::OutOfRange { field: "items", value: items.len() as u64 });
        }
        let mut values = Vec::with_capacity(items.len());
        for outer in items {
            let (item, more) = D::unwrap(outer);
            let mut item = item.ok_or(ProtocolError::UnknownItem)?;
            if self.is_whole(&mut item, more) {
                values.push(D::decode(item)?);
            } else if let Some(item) = self.take(item, more)? {
                values.push(D::decode(item)?);
            }
        }
        Ok(values)
    }

    /// Whether this is an item in one piece, as nearly all are.
    fn is_whole(&self, item: &mut D::Item, more: bool) -> bool {
        self.parts.is_none()
            && self.chunked.is_none()
            && !more
            && D::message(item).is_none_or(|message| message.more_bytes == 0)
    }

    /// The item that is complete with this one.
    fn take(&mut self, item: D::Item, more: bool) -> Result<Option<D::Item>, ProtocolError> {
        let (item, more) = match D::into_chunk(item) {
            Ok(chunk) => match self.append(&chunk)? {
                Some(complete) => complete,
                None => return Ok(None),
            },
            Err(item) => match self.begin(item, more)? {
                Some(item) => (item, more),
                None => return Ok(None),
            },
        };
        match more || self.parts.is_some() {
            true => self.gather(item, more),
            false => Ok(Some(item)),
        }
    }

    /// The item, if its message is complete.
    fn begin(&mut self, mut item: D::Item, more: bool) -> Result<Option<D::Item>, ProtocolError> {
        if self.chunked.is_some() {
            return Err(ProtocolError::Interleaved);
        }
        let Some(message) = D::message(&mut item).filter(|message| message.more_bytes > 0) else {
            return Ok(Some(item));
        };
        let value = message.more_bytes.saturating_add(message.payload.len() as u64);
        let total = usize::try_from(value)
            .ok()
            .filter(|&total| total <= PACKET_BYTES_MAX)
            .ok_or(ProtocolError::OutOfRange { field: "more_bytes", value })?;
        // Memory grows with what arrives, not with what is promised.
        let payload = BytesMut::from(&message.payload[..]);
        self.chunked = Some(Chunked { missing: total - payload.len(), item, more, payload });
        Ok(None)
    }

    fn append(&mut self, chunk: &[u8]) -> Result<Option<(D::Item, bool)>, ProtocolError> {
        let chunked = self.chunked.as_mut().ok_or(ProtocolError::UnexpectedChunk)?;
        chunked.missing =
            chunked.missing.checked_sub(chunk.len()).ok_or(ProtocolError::UnexpectedChunk)?;
        chunked.payload.extend_from_slice(chunk);
        if chunked.missing > 0 {
            return Ok(None);
        }
        let Chunked { mut item, more, payload, .. } = self.chunked.take().expect("checked above");
        let message = D::message(&mut item).expect("only items with one message are chunked");
        message.payload = payload.freeze();
        message.more_bytes = 0;
        Ok(Some((item, more)))
    }

    /// The item with all its parts, after the last.
    fn gather(&mut self, mut item: D::Item, more: bool) -> Result<Option<D::Item>, ProtocolError> {
        if !D::has_lists(&item) {
            return Err(ProtocolError::UnexpectedPart);
        }
        let mut bytes = D::bytes(&item);
        if let Some((earlier, known)) = self.parts.take() {
            bytes += known;
            D::follow(&mut item, earlier)?;
        }
        if bytes > D::ITEM_BYTES_MAX {
            return Err(ProtocolError::OutOfRange { field: "item", value: bytes as u64 });
        }
        match more {
            true => {
                self.parts = Some((item, bytes));
                Ok(None)
            }
            false => Ok(Some(item)),
        }
    }
}
