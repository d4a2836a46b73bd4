//! How the items and frames of each direction look.

use bytes::Bytes;
use ha_types::link::{Downstream, Upstream};

use super::parts::{ITEM_BYTES, LARGE_BYTES, Listed, ORIGIN_BYTES, SMALL_BYTES, Weigh};
use crate::convert::{
    ProtocolError, downstream_from, downstream_into, upstream_from, upstream_into,
};
use crate::v1;

/// A direction: how its items and frames look.
pub trait Direction {
    /// The value that cores speak in.
    type Value;
    /// The content of a generated item.
    type Item;
    /// The generated item.
    type Outer;
    /// The generated frame.
    type Frame;

    /// What an item may weigh with all its parts and chunks. More is refused.
    const ITEM_BYTES_MAX: usize;

    /// The generated form of a value.
    fn encode(value: &Self::Value) -> Self::Item;
    /// The value of a generated item.
    ///
    /// # Errors
    /// [`ProtocolError`] when the item breaks the specification.
    fn decode(item: Self::Item) -> Result<Self::Value, ProtocolError>;
    /// What an item weighs, never less than its bytes on the wire.
    fn bytes(item: &Self::Item) -> usize;
    /// The message of an item that has exactly one.
    fn message(item: &mut Self::Item) -> Option<&mut v1::Message>;
    /// Whether items of this kind may come in parts.
    fn has_lists(item: &Self::Item) -> bool;
    /// Cuts off the parts that precede an item whose lists do not fit into a frame.
    fn cut(item: &mut Self::Item) -> Vec<Self::Item>;
    /// Puts the lists of `earlier` parts before those of this one.
    ///
    /// # Errors
    /// [`ProtocolError::UnexpectedPart`] when they do not belong together.
    fn follow(item: &mut Self::Item, earlier: Self::Item) -> Result<(), ProtocolError>;
    /// An item with a further part of a payload.
    fn chunk(payload: Bytes) -> Self::Item;
    /// The part of a payload that this item is, or the item itself.
    ///
    /// # Errors
    /// The item, when it is no chunk.
    fn into_chunk(item: Self::Item) -> Result<Bytes, Self::Item>;
    /// An item, and whether more parts follow.
    fn wrap(item: Self::Item, more: bool) -> Self::Outer;
    /// What was wrapped; `None`: of unknown kind.
    fn unwrap(outer: Self::Outer) -> (Option<Self::Item>, bool);
    /// A frame with these items.
    fn frame(items: Vec<Self::Outer>) -> Self::Frame;
    /// The items of a frame.
    fn items(frame: Self::Frame) -> Vec<Self::Outer>;
}

/// From broker to ha-server.
#[derive(Debug)]
pub enum Up {}

/// From ha-server to broker.
#[derive(Debug)]
pub enum Down {}

macro_rules! direction {
    ($value:ty, $item:ident, $outer:ident, $frame:ident, $into:ident, $from:ident, $($listed:ident)*) => {
        type Value = $value;
        type Item = v1::$item::Item;
        type Outer = v1::$outer;
        type Frame = v1::$frame;

        fn encode(value: &Self::Value) -> Self::Item {
            $into(value)
        }

        fn decode(item: Self::Item) -> Result<Self::Value, ProtocolError> {
            $from(item)
        }

        fn has_lists(item: &Self::Item) -> bool {
            matches!(item, $(v1::$item::Item::$listed(_))|*)
        }

        fn cut(item: &mut Self::Item) -> Vec<Self::Item> {
            use v1::$item::Item;
            match item {
                $(Item::$listed(item) => item.cut().into_iter().map(Item::$listed).collect(),)*
                _ => Vec::new(),
            }
        }

        fn follow(item: &mut Self::Item, earlier: Self::Item) -> Result<(), ProtocolError> {
            use v1::$item::Item;
            match (item, earlier) {
                $((Item::$listed(item), Item::$listed(earlier)) => item.follow(earlier),)*
                _ => return Err(ProtocolError::UnexpectedPart),
            }
            Ok(())
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

        fn wrap(item: Self::Item, more: bool) -> Self::Outer {
            v1::$outer { item: Some(item), more }
        }

        fn unwrap(outer: Self::Outer) -> (Option<Self::Item>, bool) {
            (outer.item, outer.more)
        }

        fn frame(items: Vec<Self::Outer>) -> Self::Frame {
            v1::$frame { items, group: 0 }
        }

        fn items(frame: Self::Frame) -> Vec<Self::Outer> {
            frame.items
        }
    };
}

impl Direction for Up {
    direction!(
        Upstream, upstream_item, UpstreamItem, UpstreamFrame, upstream_into, upstream_from,
        Announce Withdraw Subscribe Unsubscribe Progress Close
    );

    /// Twice the largest packet: a SUBSCRIBE with its framing.
    const ITEM_BYTES_MAX: usize = 32 << 20;

    fn bytes(item: &Self::Item) -> usize {
        use v1::upstream_item::Item;
        match item {
            Item::Publish(item) => ITEM_BYTES + item.message.bytes(),
            Item::Progress(item) => item.bytes(),
            Item::Open(item) => {
                let will = item.will.as_ref();
                LARGE_BYTES + item.client_id.len() + will.map_or(0, |will| will.message.bytes())
            }
            Item::Subscribe(item) => item.bytes(),
            Item::Unsubscribe(item) => item.bytes(),
            Item::Close(item) => item.bytes(),
            Item::Announce(item) => item.bytes(),
            Item::Withdraw(item) => item.bytes(),
            Item::Hello(item) => LARGE_BYTES + item.software.len() + item.name.len(),
            Item::Chunk(item) => ITEM_BYTES + item.payload.len(),
            Item::Leave(_) | Item::Release(_) | Item::Resumed(_) | Item::Received(_) => SMALL_BYTES,
            Item::Fetch(_) | Item::Resume(_) => LARGE_BYTES,
        }
    }

    fn message(item: &mut Self::Item) -> Option<&mut v1::Message> {
        use v1::upstream_item::Item;
        match item {
            Item::Publish(item) => item.message.as_mut(),
            Item::Open(item) => item.will.as_mut()?.message.as_mut(),
            _ => None,
        }
    }
}

impl Direction for Down {
    direction!(
        Downstream, downstream_item, DownstreamItem, DownstreamFrame, downstream_into,
        downstream_from,
        Opened Subscribed Unsubscribed Page Recorded
    );

    /// A session with a full queue, many times. ha-server decides what it sends.
    const ITEM_BYTES_MAX: usize = 512 << 20;

    fn bytes(item: &Self::Item) -> usize {
        use v1::downstream_item::Item;
        match item {
            Item::Deliver(item) => {
                ITEM_BYTES + item.known_as.len() * ORIGIN_BYTES + item.message.bytes()
            }
            Item::SessionDeliver(item) => ITEM_BYTES + item.queued.bytes(),
            Item::Page(item) => item.bytes(),
            Item::Recorded(item) => item.bytes(),
            Item::Opened(item) => item.bytes(),
            Item::Subscribed(item) => item.bytes(),
            Item::Unsubscribed(item) => item.bytes(),
            Item::RetainedUpdate(item) => ITEM_BYTES + item.topic.len() + item.message.bytes(),
            Item::Welcome(item) => LARGE_BYTES + item.software.len(),
            Item::Goodbye(item) => LARGE_BYTES + item.detail.len() + item.leader.len(),
            Item::Chunk(item) => ITEM_BYTES + item.payload.len(),
            Item::PublishResult(_)
            | Item::InterestTaken(_)
            | Item::RetainedBegin(_)
            | Item::RetainedSynced(_)
            | Item::Drain(_)
            | Item::Undrain(_)
            | Item::OpenRefused(_)
            | Item::Released(_)
            | Item::Evict(_)
            | Item::Fenced(_)
            | Item::Asked(_) => SMALL_BYTES,
        }
    }

    fn message(item: &mut Self::Item) -> Option<&mut v1::Message> {
        use v1::downstream_item::Item;
        match item {
            Item::Deliver(item) => item.message.as_mut(),
            Item::SessionDeliver(item) => item.queued.as_mut()?.message(),
            Item::RetainedUpdate(item) => item.message.as_mut(),
            Item::Page(item) => item.message(),
            Item::Opened(item) => item.message(),
            Item::Subscribed(item) => item.message(),
            _ => None,
        }
    }
}
