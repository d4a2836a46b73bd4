//! The order of a client's PUBACKs, where some publishes are answered here and some elsewhere.

use std::collections::VecDeque;

use ha_types::session::{PacketId, Tell};

/// PUBACKs go out in the order in which the publishes came [MQTT-4.6.0-2]: an answer that is given here
/// waits for those of earlier publishes that come from elsewhere. Bounded by the Receive Maximum.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
enum Waiting {
    /// For an answer from elsewhere.
    Elsewhere(PacketId),
    /// For those before it.
    Here(Tell),
}

impl Answers {
    /// A publish of QoS 1 will be answered elsewhere.
    pub(crate) fn awaits(&mut self, packet_id: PacketId) {
        self.waiting.push_back(Waiting::Elsewhere(packet_id));
    }

    /// The answer to the newest publish. `Some`: it is due now.
    pub(crate) fn give(&mut self, tell: Tell) -> Option<Tell> {
        if self.waiting.is_empty() {
            return Some(tell);
        }
        self.waiting.push_back(Waiting::Here(tell));
        None
    }

    /// A publish was answered elsewhere: `due` is called with the answers that waited for it alone.
    pub(crate) fn answered(&mut self, packet_id: PacketId, mut due: impl FnMut(Tell)) {
        let is_it = |of: &Waiting| matches!(of, Waiting::Elsewhere(id) if *id == packet_id);
        let Some(at) = self.waiting.iter().position(is_it) else { return };
        self.waiting.remove(at);
        while let Some(Waiting::Here(tell)) =
            self.waiting.pop_front_if(|first| matches!(first, Waiting::Here(_)))
        {
            due(tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use ha_types::SessionId;
    use ha_types::session::{SessionEpoch, SessionKey};

    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn answer(number: u16) -> Tell {
        let session = SessionKey { id: SessionId(1), epoch: SessionEpoch(1) };
        Tell::Published { session, packet_id: id(number), outcome: Ok(()) }
    }

    #[test]
    fn answer_waits_for_those_of_all_earlier_publishes() {
        let (mut answers, mut due) = (Answers::default(), Vec::new());
        assert_eq!(answers.give(answer(1)), Some(answer(1)));
        answers.awaits(id(2));
        assert_eq!(answers.give(answer(3)), None);
        answers.awaits(id(4));
        assert_eq!(answers.give(answer(5)), None);
        answers.answered(id(2), |tell| due.push(tell));
        assert_eq!(due, [answer(3)]);
        answers.answered(id(9), |tell| due.push(tell));
        assert_eq!(due, [answer(3)], "nobody waits for it");
        answers.answered(id(4), |tell| due.push(tell));
        assert_eq!(due, [answer(3), answer(5)]);
        assert_eq!(answers.give(answer(6)), Some(answer(6)));
    }

    #[test]
    fn answers_from_elsewhere_may_come_in_another_order() {
        let (mut answers, mut due) = (Answers::default(), Vec::new());
        answers.awaits(id(1));
        answers.awaits(id(2));
        assert_eq!(answers.give(answer(3)), None);
        answers.answered(id(2), |tell| due.push(tell));
        assert_eq!(due, []);
        answers.answered(id(1), |tell| due.push(tell));
        assert_eq!(due, [answer(3)]);
    }
}
