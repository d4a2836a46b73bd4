//! Items in, bounded frames out, and back.
//!
//! A frame holds at most [`FRAME_ITEMS_MAX`] items and about [`FRAME_BYTES`]; a message whose
//! payload is larger is cut into chunks. Cutting shares the payload's storage. Reading a chunked
//! message copies its payload once, into memory bounded by [`PACKET_BYTES_MAX`].
//!
//! One reader serves one direction of one stream: it remembers a message that is not yet complete.

use bytes::{Bytes, BytesMut};
use ha_types::limits::{FRAME_BYTES, FRAME_ITEMS_MAX, PACKET_BYTES_MAX};
use ha_types::link::{Downstream, Upstream};

use crate::convert::{
    ProtocolError, downstream_from, downstream_into, upstream_from, upstream_into,
};
use crate::v1;

/// Room for the fixed fields, tags and lengths of an item.
const ITEM_OVERHEAD: usize = 64;

/// A direction: how its items and frames look.
pub trait Direction {
    /// The value that cores speak in.
    type Value;
    /// The content of a generated item.
    type Item;
    /// The generated frame.
    type Frame;

    /// The generated form of a value.
    fn encode(value: &Self::Value) -> Self::Item;
    /// The value of a generated item.
    ///
    /// # Errors
    /// [`ProtocolError`] when the item breaks the specification.
    fn decode(item: Self::Item) -> Result<Self::Value, ProtocolError>;
    /// The message that this item carries.
    fn message(item: &mut Self::Item) -> Option<&mut v1::Message>;
    /// Bytes of what else the item carries.
    fn other_bytes(item: &Self::Item) -> usize;
    /// An item with a further part of a payload.
    fn chunk(payload: Bytes) -> Self::Item;
    /// The part of a payload that this item is, or the item itself.
    ///
    /// # Errors
    /// The item, when it is no chunk.
    fn into_chunk(item: Self::Item) -> Result<Bytes, Self::Item>;
    /// A frame with these items.
    fn frame(items: Vec<Self::Item>) -> Self::Frame;
    /// The items of a frame.
    fn items(frame: Self::Frame) -> impl Iterator<Item = Option<Self::Item>>;
}

/// From broker to ha-server.
#[derive(Debug)]
pub enum Up {}

/// From ha-server to broker.
#[derive(Debug)]
pub enum Down {}

macro_rules! direction {
    ($name:ident, $value:ty, $item:ident, $outer:ident, $frame:ident, $into:ident, $from:ident) => {
        type Value = $value;
        type Item = v1::$item::Item;
        type Frame = v1::$frame;

        fn encode(value: &Self::Value) -> Self::Item {
            $into(value)
        }

        fn decode(item: Self::Item) -> Result<Self::Value, ProtocolError> {
            $from(item)
        }

        fn chunk(payload: Bytes) -> Self::Item {
            v1::$item::Item::Chunk(v1::Chunk { payload })
        }

        fn into_chunk(item: Self::Item) -> Result<Bytes, Self::Item> {
            match item {
                v1::$item::Item::Chunk(chunk) => Ok(chunk.payload),
                other => Err(other),
            }
        }

        fn frame(items: Vec<Self::Item>) -> Self::Frame {
            let items = items.into_iter().map(|item| v1::$outer { item: Some(item) }).collect();
            v1::$frame { items, group: 0 }
        }

        fn items(frame: Self::Frame) -> impl Iterator<Item = Option<Self::Item>> {
            frame.items.into_iter().map(|outer| outer.item)
        }
    };
}

impl Direction for Up {
    direction!(
        Up,
        Upstream,
        upstream_item,
        UpstreamItem,
        UpstreamFrame,
        upstream_into,
        upstream_from
    );

    fn message(item: &mut Self::Item) -> Option<&mut v1::Message> {
        use v1::upstream_item::Item;
        match item {
            Item::Publish(publish) => publish.message.as_mut(),
            Item::RetainedCopy(change) => change.message.as_mut(),
            _ => None,
        }
    }

    fn other_bytes(item: &Self::Item) -> usize {
        use v1::upstream_item::Item;
        match item {
            Item::Announce(announce) => announce.filters.iter().map(|f| f.len() + 4).sum(),
            Item::Withdraw(withdraw) => withdraw.filters.iter().map(|f| f.len() + 4).sum(),
            Item::RetainedCopy(change) => change.topic.len(),
            _ => 0,
        }
    }
}

impl Direction for Down {
    direction!(
        Down,
        Downstream,
        downstream_item,
        DownstreamItem,
        DownstreamFrame,
        downstream_into,
        downstream_from
    );

    fn message(item: &mut Self::Item) -> Option<&mut v1::Message> {
        use v1::downstream_item::Item;
        match item {
            Item::Deliver(deliver) => deliver.message.as_mut(),
            Item::RetainedUpdate(change) => change.message.as_mut(),
            _ => None,
        }
    }

    fn other_bytes(item: &Self::Item) -> usize {
        match item {
            v1::downstream_item::Item::RetainedUpdate(change) => change.topic.len(),
            _ => 0,
        }
    }
}

/// Packs values into as few frames as the limits allow, in order.
pub fn pack<D: Direction>(values: impl IntoIterator<Item = D::Value>) -> Vec<D::Frame> {
    let mut packer = Packer::<D> { done: Vec::new(), items: Vec::new(), bytes: 0 };
    for value in values {
        packer.add(D::encode(&value));
    }
    packer.cut();
    packer.done
}

struct Packer<D: Direction> {
    done: Vec<D::Frame>,
    items: Vec<D::Item>,
    bytes: usize,
}

impl<D: Direction> Packer<D> {
    fn add(&mut self, mut item: D::Item) {
        let mut size = ITEM_OVERHEAD + D::other_bytes(&item);
        let mut rest = Bytes::new();
        if let Some(message) = D::message(&mut item) {
            if message.payload.len() > FRAME_BYTES {
                rest = message.payload.split_off(FRAME_BYTES);
                message.more_bytes = rest.len() as u64;
            }
            size += message.topic.len() + message.properties.len() + message.payload.len();
        }
        self.push(item, size);
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(FRAME_BYTES));
            let size = chunk.len() + ITEM_OVERHEAD;
            self.push(D::chunk(chunk), size);
        }
    }

    fn push(&mut self, item: D::Item, size: usize) {
        if self.bytes + size > FRAME_BYTES || self.items.len() == FRAME_ITEMS_MAX {
            self.cut();
        }
        self.items.push(item);
        self.bytes += size;
    }

    fn cut(&mut self) {
        if !self.items.is_empty() {
            self.done.push(D::frame(std::mem::take(&mut self.items)));
            self.bytes = 0;
        }
    }
}

/// Reads the frames of one direction of one stream.
pub struct Reader<D: Direction> {
    partial: Option<Partial<D::Item>>,
}

struct Partial<Item> {
    item: Item,
    payload: BytesMut,
    missing: usize,
}

impl<D: Direction> std::fmt::Debug for Reader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let missing = self.partial.as_ref().map_or(0, |partial| partial.missing);
        f.debug_struct("Reader").field("missing_bytes", &missing).finish()
    }
}

impl<D: Direction> Default for Reader<D> {
    fn default() -> Self {
        Self { partial: None }
    }
}

impl<D: Direction> Reader<D> {
    /// The values that are complete with this frame, in order.
    ///
    /// # Errors
    /// [`ProtocolError`]; the stream must then be ended.
    pub fn read(&mut self, frame: D::Frame) -> Result<Vec<D::Value>, ProtocolError> {
        let mut values = Vec::new();
        for item in D::items(frame) {
            let item = item.ok_or(ProtocolError::UnknownItem)?;
            let complete = match D::into_chunk(item) {
                Ok(chunk) => self.append(&chunk)?,
                Err(item) => self.begin(item)?,
            };
            if let Some(item) = complete {
                values.push(D::decode(item)?);
            }
        }
        Ok(values)
    }

    fn begin(&mut self, mut item: D::Item) -> Result<Option<D::Item>, ProtocolError> {
        let Some(message) = D::message(&mut item) else { return Ok(Some(item)) };
        if self.partial.is_some() {
            return Err(ProtocolError::Interleaved);
        }
        if message.more_bytes == 0 {
            return Ok(Some(item));
        }
        let value = message.more_bytes.saturating_add(message.payload.len() as u64);
        let total = usize::try_from(value)
            .ok()
            .filter(|&total| total <= PACKET_BYTES_MAX)
            .ok_or(ProtocolError::OutOfRange { field: "more_bytes", value })?;
        // Memory grows with what arrives, not with what is promised.
        let payload = BytesMut::from(&message.payload[..]);
        self.partial = Some(Partial { missing: total - payload.len(), item, payload });
        Ok(None)
    }

    fn append(&mut self, chunk: &[u8]) -> Result<Option<D::Item>, ProtocolError> {
        let partial = self.partial.as_mut().ok_or(ProtocolError::UnexpectedChunk)?;
        partial.missing =
            partial.missing.checked_sub(chunk.len()).ok_or(ProtocolError::UnexpectedChunk)?;
        partial.payload.extend_from_slice(chunk);
        if partial.missing > 0 {
            return Ok(None);
        }
        let Partial { mut item, payload, .. } = self.partial.take().expect("checked above");
        let message = D::message(&mut item).expect("only items with a message are partial");
        message.payload = payload.freeze();
        message.more_bytes = 0;
        Ok(Some(item))
    }
}
