//! Values into frames.

use bytes::Bytes;
use ha_types::limits::{FRAME_BYTES, FRAME_ITEMS_MAX};

use super::direction::Direction;
use super::parts::ITEM_BYTES;

/// Packs values into as few frames as the limits allow, in order.
pub fn pack<D: Direction>(values: impl IntoIterator<Item = D::Value>) -> Vec<D::Frame> {
    let values = values.into_iter();
    let items = Vec::with_capacity(values.size_hint().0.min(FRAME_ITEMS_MAX));
    let mut packer = Packer::<D> { done: Vec::new(), items, bytes: 0 };
    for value in values {
        packer.add(D::encode(&value));
    }
    packer.cut();
    packer.done
}

struct Packer<D: Direction> {
    done: Vec<D::Frame>,
    items: Vec<D::Outer>,
    bytes: usize,
}

impl<D: Direction> Packer<D> {
    fn add(&mut self, mut item: D::Item) {
        let bytes = D::bytes(&item);
        if bytes <= FRAME_BYTES {
            return self.push(item, bytes, false);
        }
        for part in D::cut(&mut item) {
            self.push_chunked(part, true);
        }
        self.push_chunked(item, false);
    }

    fn push_chunked(&mut self, mut item: D::Item, more: bool) {
        let mut bytes = D::bytes(&item);
        let mut rest = Bytes::new();
        if let Some(message) = D::message(&mut item)
            && message.payload.len() > FRAME_BYTES
        {
            rest = message.payload.split_off(FRAME_BYTES);
            message.more_bytes = rest.len() as u64;
            bytes -= rest.len();
        }
        self.push(item, bytes, more);
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(FRAME_BYTES));
            let bytes = chunk.len() + ITEM_BYTES;
            self.push(D::chunk(chunk), bytes, false);
        }
    }

    fn push(&mut self, item: D::Item, bytes: usize, more: bool) {
        if self.bytes + bytes > FRAME_BYTES || self.items.len() == FRAME_ITEMS_MAX {
            self.cut();
        }
        self.items.push(D::wrap(item, more));
        self.bytes += bytes;
    }

    fn cut(&mut self) {
        if !self.items.is_empty() {
            self.done.push(D::frame(std::mem::take(&mut self.items)));
            self.bytes = 0;
        }
    }
}
