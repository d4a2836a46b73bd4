//! What streams are told while this node does not lead.

use ha_core::Input;

use super::Task;
use super::queues::not_leader;
use crate::{Leader, leader};

impl Task {
    pub(super) fn knows_other(&self) -> bool {
        self.farewell.is_some() && self.leader_address().is_some()
    }

    /// Sends the brokers of a leadership that ended to the next leader.
    pub(super) fn bid_farewell(&mut self) {
        if self.farewell.take().is_some() {
            self.deadline = None;
            let goodbye = not_leader(self.leader_address());
            self.queues.refuse_upto(self.left_upto, &goodbye);
        }
    }

    pub(super) fn answer_waiting(&mut self) {
        let (leader, streams) = match self.heard_leader() {
            Some(leader) => (Some(leader), self.waiting.take_streams()),
            None => (self.leader_address(), self.waiting.take_overdue()),
        };
        for stream in streams {
            self.queues.refuse(stream, not_leader(leader.clone()));
        }
    }

    /// What a node that does not lead answers.
    pub(super) fn decline(&mut self, input: Input) {
        let (stream, said) = match input {
            Input::Received(stream, said) => (stream, Some(said)),
            Input::Malformed(stream, _) => (stream, None),
            _ => return,
        };
        if self.farewell.is_some() && stream <= self.left_upto {
            // Told with all others, when it is known who leads.
            return;
        }
        let leader = self.heard_leader();
        if leader.is_some() || !said.is_some_and(|said| self.waiting.insert(stream, said)) {
            self.waiting.remove(stream);
            self.queues.refuse(stream, not_leader(leader));
        }
    }

    pub(super) fn leader_address(&self) -> Option<String> {
        match leader(&self.status.borrow(), self.own) {
            Leader::Other(member) => Some(member.address),
            Leader::Us | Leader::Nobody => None,
        }
    }

    /// Of another server that leads and is alive.
    fn heard_leader(&self) -> Option<String> {
        self.leader_address().filter(|_| self.node.hears_leader())
    }
}
