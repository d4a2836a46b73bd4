//! Deliveries that wait until the client can take them, in order.

use std::collections::VecDeque;

use ha_types::Qos;

use super::waiting::Waiting;
use crate::engine::limits::Limits;

/// Retained messages of a SUBSCRIBE have room of their own: however many match, they do not use up
/// what live messages need.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Waiting>,
    live: Load,
    unqueued: Load,
    /// Of QoS 0 that the holder does not have.
    of_qos_0: usize,
}

#[derive(Debug, Default)]
struct Load {
    messages: usize,
    bytes: usize,
}

impl Load {
    fn room(&self, limits: &Limits) -> usize {
        if self.bytes >= limits.queue_bytes_max {
            return 0;
        }
        limits.queue_messages_max.saturating_sub(self.messages)
    }
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn front(&self) -> Option<&Waiting> {
        self.queue.front()
    }

    /// Whether a delivery of QoS 0 would overtake one.
    pub(super) fn has_qos_0(&self) -> bool {
        self.of_qos_0 > 0
    }

    /// Live deliveries.
    pub(super) fn live(&self) -> usize {
        self.live.messages
    }

    /// Bytes of these.
    pub(super) fn live_bytes(&self) -> usize {
        self.live.bytes
    }

    /// How many more live deliveries may wait.
    pub(super) fn room(&self, limits: &Limits) -> usize {
        self.live.room(limits)
    }

    /// Whether one more of its kind may wait.
    pub(super) fn has_room_for(&self, waiting: &Waiting, limits: &Limits) -> bool {
        let load = if waiting.is_unqueued { &self.unqueued } else { &self.live };
        load.room(limits) > 0
    }

    fn load(&mut self, waiting: &Waiting) -> &mut Load {
        if waiting.is_unqueued { &mut self.unqueued } else { &mut self.live }
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        let load = self.load(&waiting);
        load.messages += 1;
        load.bytes += waiting.message.size();
        self.of_qos_0 += usize::from(is_unkept_qos_0(&waiting));
        self.queue.push_back(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        let load = self.load(&waiting);
        load.messages -= 1;
        load.bytes -= waiting.message.size();
        self.of_qos_0 -= usize::from(is_unkept_qos_0(&waiting));
        // A burst must not keep its room for ever.
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
        Some(waiting)
    }
}

fn is_unkept_qos_0(waiting: &Waiting) -> bool {
    waiting.qos == Qos::AtMostOnce && waiting.offset.is_none()
}
