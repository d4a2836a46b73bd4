//! Items with lists, cut into parts and put together again.

use bytes::Bytes;
use ha_types::limits::FRAME_BYTES;

use crate::v1;

/// Upper bounds of what items without lists have besides their message, with tags and lengths: of
/// those with a few numbers,
pub(super) const SMALL_BYTES: usize = 48;
/// of an origin in a list,
pub(super) const ORIGIN_BYTES: usize = 24;
/// of those with a message,
pub(super) const ITEM_BYTES: usize = 64;
/// and of all others, without their texts and lists.
pub(super) const LARGE_BYTES: usize = 128;

/// What an item, or an entry of its lists, weighs: about its bytes on the wire and in memory, and
/// never less than on the wire.
pub(super) trait Weigh {
    fn bytes(&self) -> usize;

    /// Its message, if it can have one.
    fn message(&mut self) -> Option<&mut v1::Message> {
        None
    }
}

impl Weigh for v1::Message {
    fn bytes(&self) -> usize {
        72 + self.topic.len() + self.payload.len() + self.properties.len()
    }

    fn message(&mut self) -> Option<&mut v1::Message> {
        Some(self)
    }
}

impl Weigh for Bytes {
    fn bytes(&self) -> usize {
        32 + self.len()
    }
}

impl Weigh for u32 {
    fn bytes(&self) -> usize {
        5
    }
}

impl Weigh for bool {
    fn bytes(&self) -> usize {
        1
    }
}

impl Weigh for v1::Offset {
    fn bytes(&self) -> usize {
        24
    }
}

impl Weigh for v1::Refused {
    fn bytes(&self) -> usize {
        32
    }
}

impl Weigh for v1::SubscribeOptions {
    fn bytes(&self) -> usize {
        64 + self.filter.len()
    }
}

impl Weigh for v1::Queued {
    fn bytes(&self) -> usize {
        40 + self.message.bytes() + 5 * self.subscription_ids.len()
    }

    fn message(&mut self) -> Option<&mut v1::Message> {
        self.message.as_mut()
    }
}

impl Weigh for v1::Record {
    fn bytes(&self) -> usize {
        16 + self.sent.bytes()
    }

    fn message(&mut self) -> Option<&mut v1::Message> {
        self.sent.as_mut()?.message()
    }
}

impl Weigh for v1::Retained {
    fn bytes(&self) -> usize {
        16 + self.queued.bytes()
    }

    fn message(&mut self) -> Option<&mut v1::Message> {
        self.queued.as_mut()?.message()
    }
}

impl Weigh for v1::Unqueued {
    fn bytes(&self) -> usize {
        32 + self.message.bytes()
    }

    fn message(&mut self) -> Option<&mut v1::Message> {
        self.message.as_mut()
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Weigh::bytes)
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(Weigh::bytes).sum()
    }

    /// The only one: several of one item are not cut.
    fn message(&mut self) -> Option<&mut v1::Message> {
        match self.as_mut_slice() {
            [entry] => entry.message(),
            _ => None,
        }
    }
}

/// An item with lists.
pub(super) trait Listed: Default {
    /// Cuts off parts of about [`FRAME_BYTES`] each. What stays is the last part, with all fields
    /// that are no lists.
    fn cut(&mut self) -> Vec<Self>;

    /// Goes on where `earlier` parts ended.
    fn follow(&mut self, earlier: Self);
}

/// Fills parts one after the other.
struct Cutter<Part> {
    done: Vec<Part>,
    part: Part,
    /// Of the part that is being filled; zero: it is empty.
    bytes: usize,
}

impl<Part: Default> Cutter<Part> {
    /// Where an entry of this weight belongs. One that is larger than a part has its own.
    fn room(&mut self, bytes: usize) -> &mut Part {
        if self.bytes > 0 && self.bytes + bytes > FRAME_BYTES - LARGE_BYTES {
            self.done.push(std::mem::take(&mut self.part));
            self.bytes = 0;
        }
        self.bytes += bytes;
        &mut self.part
    }
}

macro_rules! listed {
    ($($item:ident { $($list:ident),* })*) => {$(
        impl Weigh for v1::$item {
            fn bytes(&self) -> usize {
                LARGE_BYTES $(+ self.$list.bytes())*
            }

            fn message(&mut self) -> Option<&mut v1::Message> {
                let messages = [$(self.$list.message()),*];
                let mut messages = messages.into_iter().flatten();
                messages.next().filter(|_| messages.next().is_none())
            }
        }

        impl Listed for v1::$item {
            fn cut(&mut self) -> Vec<Self> {
                let mut cutter = Cutter { done: Vec::new(), part: Self::default(), bytes: 0 };
                $(for entry in std::mem::take(&mut self.$list) {
                    cutter.room(entry.bytes()).$list.push(entry);
                })*
                $(self.$list = cutter.part.$list;)*
                cutter.done
            }

            fn follow(&mut self, earlier: Self) {
                $(let last = std::mem::replace(&mut self.$list, earlier.$list);
                self.$list.extend(last);)*
            }
        }
    )*};
}

listed! {
    Announce { filters }
    Withdraw { filters }
    Subscribe { subscriptions }
    Unsubscribe { filters }
    Progress { acknowledged, received, completed, refused }
    Close { acknowledged, received, completed, refused }
    Opened { subscriptions, inbound, records }
    Subscribed { reasons, retained, unqueued }
    Unsubscribed { existed }
    Page { messages }
    Recorded { received, completed }
}
