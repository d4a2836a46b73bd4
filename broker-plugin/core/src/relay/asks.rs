//! What engines asked, on its way to ha-server.
//!
//! Asks are numbered when they are first sent, from 1 and without gaps, and kept until ha-server has
//! done them. They go up in the order of [`Turn`]s, together with publishes.
//!
//! CONNECTs pass what waits, and come in storms: when a broker has died, all its clients at once. So only so many
//! of them are under way at a time, and what other clients do comes in between.

use std::collections::VecDeque;

use ha_types::AskNumber;
use ha_types::link::Upstream;
use ha_types::session::{Ask, ConnectionId, Open, SessionKey};

use crate::turn::{Turn, Turns};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// In the order of their numbers.
    sent: VecDeque<Sent>,
    /// How many of these were sent on this stream.
    on_stream: usize,
    /// Not sent, and not behind messages.
    urgent: VecDeque<Ask>,
    /// Nor are these, but so many CONNECTs wait for an answer at most.
    opens: VecDeque<Ask>,
    /// Not sent.
    waiting: VecDeque<(Turn, Ask)>,
    /// CONNECTs must not pass these: the same client may have sent both.
    closes_waiting: usize,
    last: AskNumber,
}

#[derive(Debug)]
struct Sent {
    number: AskNumber,
    turn: Turn,
    ask: Ask,
}

impl Asks {
    /// The last number that was given.
    pub(crate) fn last(&self) -> AskNumber {
        self.last
    }

    /// Asks that are not done.
    pub(crate) fn len(&self) -> usize {
        self.sent.len() + self.urgent.len() + self.opens.len() + self.waiting.len()
    }

    /// Whether asks wait behind messages.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, ask: Ask, turns: &mut Turns) {
        self.closes_waiting += usize::from(matches!(ask, Ask::Close { .. }));
        match &ask {
            Ask::Progress { .. } | Ask::Fetch { .. } | Ask::Release { .. } => {
                self.urgent.push_back(ask);
            }
            Ask::Open(_) if self.closes_waiting == 0 => self.opens.push_back(ask),
            Ask::Open(_)
            | Ask::Claim { .. }
            | Ask::Subscribe { .. }
            | Ask::Unsubscribe { .. }
            | Ask::Publish { .. }
            | Ask::Close { .. } => self.waiting.push_back((turns.waits(), ask)),
        }
    }

    /// Adds to the session's progress that waits to be sent. False: none does.
    pub(super) fn merge(&mut self, session: SessionKey, more: &Ask) -> bool {
        let Ask::Progress { progress: more, .. } = more else { return false };
        let last = self.urgent.iter_mut().rev().take(MERGE_LOOKS_MAX).find_map(|ask| match ask {
            Ask::Progress { session: of, progress } if *of == session => Some(progress),
            _ => None,
        });
        let Some(progress) = last else { return false };
        progress.acknowledged.extend(&more.acknowledged);
        progress.received.extend(&more.received);
        progress.completed.extend(&more.completed);
        progress.refused.extend(&more.refused);
        progress.passed_over.extend(&more.passed_over);
        true
    }

    /// The turn of what is sent next. Forgets CONNECTs that nobody waits for: those of which
    /// `is_void` says so. `unanswered`: how many there are, void ones among them.
    pub(super) fn turn(
        &mut self,
        unanswered: usize,
        mut is_void: impl FnMut(&Ask) -> bool,
    ) -> Option<Turn> {
        if let Some(sent) = self.sent.get(self.on_stream) {
            return Some(sent.turn);
        }
        while self.opens.front().is_some_and(&mut is_void) {
            self.opens.pop_front();
        }
        while self.waiting.front().is_some_and(|(_, ask)| is_void(ask)) {
            self.waiting.pop_front();
        }
        let waiting = self.waiting.front().map(|(turn, _)| *turn);
        let is_urgent = !self.urgent.is_empty() || self.may_open(unanswered);
        if is_urgent { Some(Turn::Urgent) } else { waiting }
    }

    /// Of all CONNECTs without an answer these were not even asked.
    fn may_open(&self, unanswered: usize) -> bool {
        let asked = unanswered.saturating_sub(self.opens.len());
        !self.opens.is_empty() && asked < OPENS_MAX
    }

    /// What is sent next, while so many CONNECTs have no answer.
    pub(super) fn next_to_send(
        &mut self,
        unanswered: usize,
        turns: &mut Turns,
    ) -> Option<Upstream> {
        if self.on_stream == self.sent.len() {
            let may_open = self.may_open(unanswered);
            let (turn, ask) = match self.urgent.pop_front() {
                Some(ask) => (Turn::Urgent, ask),
                None if may_open => (Turn::Urgent, self.opens.pop_front()?),
                None => self.waiting.pop_front()?,
            };
            self.closes_waiting -= usize::from(matches!(ask, Ask::Close { .. }));
            self.give_back_room();
            self.last.0 += 1;
            self.sent.push_back(Sent { number: self.last, turn: turns.sends(turn), ask });
        }
        let sent = self.sent.get(self.on_stream)?;
        self.on_stream += 1;
        Some(Upstream::Ask { number: sent.number, ask: sent.ask.clone() })
    }

    /// ha-server has done all up to here. What it was asked again for an answer that has not come on
    /// this stream is kept. False: so much was never asked.
    pub(super) fn done(&mut self, upto: AskNumber, is_awaited: impl Fn(&Ask) -> bool) -> bool {
        if upto > self.last {
            return false;
        }
        let mut kept = Vec::new();
        while let Some(done) = self.sent.pop_front_if(|sent| sent.number <= upto) {
            if is_awaited(&done.ask) {
                kept.push(done);
            } else {
                self.on_stream = self.on_stream.saturating_sub(1);
            }
        }
        kept.into_iter().rev().for_each(|sent| self.sent.push_front(sent));
        self.give_back_room();
        true
    }

    /// What a storm of clients took goes when their asks have.
    fn give_back_room(&mut self) {
        if self.sent.is_empty() {
            self.sent.shrink_to(ROOM_KEPT);
        }
        if self.urgent.is_empty() {
            self.urgent.shrink_to(ROOM_KEPT);
        }
        if self.opens.is_empty() {
            self.opens.shrink_to(ROOM_KEPT);
        }
        if self.waiting.is_empty() {
            self.waiting.shrink_to(ROOM_KEPT);
        }
    }

    /// A new stream: nothing was asked on it, and of what is done only that whose answer is awaited
    /// has to be.
    pub(super) fn restart(&mut self, upto: AskNumber, is_awaited: impl Fn(&Ask) -> bool) {
        self.on_stream = 0;
        self.sent.retain(|sent| sent.number > upto || is_awaited(&sent.ask));
    }

    /// A new epoch: of what was asked only these CONNECTs are asked again, under new numbers.
    pub(super) fn begin_anew<'a>(&mut self, opens: impl Iterator<Item = &'a Open>) {
        *self = Self { opens: opens.cloned().map(Ask::Open).collect(), ..Self::default() };
    }

    /// The CONNECTs with a will that ha-server may have done.
    pub(super) fn sent_with_will(&self) -> impl Iterator<Item = ConnectionId> {
        self.sent.iter().filter_map(|sent| match &sent.ask {
            Ask::Open(open) => open.will.as_ref().map(|_| open.connection),
            _ => None,
        })
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.on_stream <= self.sent.len());
        assert!(self.sent.iter().is_sorted_by_key(|sent| sent.number));
        assert!(self.sent.iter().is_sorted_by_key(|sent| sent.turn));
        assert!(self.sent.back().is_none_or(|sent| sent.number <= self.last));
        let is_close = |ask: &Ask| matches!(ask, Ask::Close { .. });
        let closes = self.waiting.iter().filter(|(_, ask)| is_close(ask)).count();
        assert_eq!(self.closes_waiting, closes);
        assert!(self.opens.iter().all(|ask| matches!(ask, Ask::Open(_))));
    }

    /// The CONNECTs that are asked or wait to be.
    pub(super) fn opens(&self) -> impl Iterator<Item = ConnectionId> {
        let waiting = self.waiting.iter().map(|(_, ask)| ask);
        let all = self.sent.iter().map(|sent| &sent.ask).chain(&self.opens).chain(waiting);
        all.filter_map(connection)
    }
}

fn connection(ask: &Ask) -> Option<ConnectionId> {
    match ask {
        Ask::Open(open) => Some(open.connection),
        _ => None,
    }
}

/// CONNECTs that are under way at a time. One keeps a leader busy for some 10 µs, and may wait there for a tenth of
/// a second for an older connection.
const OPENS_MAX: usize = 256;

/// Asks for which there is always room.
const ROOM_KEPT: usize = 256;

/// Asks among which a progress to add to is looked for: while there is no leader, many wait.
const MERGE_LOOKS_MAX: usize = 64;
