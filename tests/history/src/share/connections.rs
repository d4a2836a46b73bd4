//! The connections of members and the times when processes were down.

use std::collections::BTreeMap;

use super::{End, Event, Member, Process, SOON_US, What};

/// A connection of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) member: Member,
    pub(super) broker: Process,
    pub(super) began: u64,
    /// `None`: it lived to the end.
    pub(super) ended: Option<(u64, End)>,
    /// The broker has read what was sent before this moment.
    pub(super) settled: u64,
}

impl Connection {
    /// Whether it ended in this time.
    pub(super) fn ended_within(&self, from: u64, to: u64) -> bool {
        self.ended.is_some_and(|(at, _)| (from..=to).contains(&at))
    }

    pub(super) fn had_ended(&self, at: u64) -> bool {
        self.ended.is_some_and(|(ended, _)| ended <= at)
    }
}

/// Everything that may excuse.
#[derive(Debug, Default)]
pub(super) struct Circumstances {
    pub(super) connections: Vec<Connection>,
    /// From, to.
    downs: BTreeMap<Process, Vec<(u64, u64)>>,
    /// When members lost connections against their will, by broker; grows.
    cuts: BTreeMap<Process, Vec<u64>>,
    /// When publishes were answered, and sent, by broker; the first grows.
    answers: BTreeMap<Process, Vec<(u64, u64)>>,
    open: BTreeMap<Member, usize>,
}

impl Circumstances {
    /// Takes what concerns connections and processes.
    pub(super) fn take(&mut self, Event { at, what }: Event) {
        match what {
            What::Connected(member, broker) => {
                self.open.insert(member, self.connections.len());
                let (ended, settled) = (None, 0);
                self.connections.push(Connection { member, broker, began: at, ended, settled });
            }
            What::Ended(member, end) => {
                if let Some(index) = self.open.remove(&member) {
                    let connection = &mut self.connections[index];
                    connection.ended = Some((at, end));
                    if end == End::Suffered {
                        self.cuts.entry(connection.broker).or_default().push(at);
                    }
                }
            }
            What::Settled(member, before) => {
                if let Some(&index) = self.open.get(&member) {
                    let connection = &mut self.connections[index];
                    connection.settled = connection.settled.max(before);
                }
            }
            What::Down(process) => self.downs.entry(process).or_default().push((at, u64::MAX)),
            What::Up(process) => {
                if let Some(last) = self.downs.get_mut(&process).and_then(|downs| downs.last_mut())
                {
                    last.1 = last.1.min(at);
                }
            }
            What::Answered(broker, sent) => {
                self.answers.entry(broker).or_default().push((at, sent));
            }
            What::Published(_) | What::Delivered(..) | What::Acknowledged(..) | What::Quiet => (),
        }
    }

    /// The connection that a member has.
    pub(super) fn of(&self, member: Member) -> Option<usize> {
        self.open.get(&member).copied()
    }

    /// Whether a process was down at any moment of this time.
    pub(super) fn was_down(&self, process: Process, from: u64, to: u64) -> bool {
        let meets = |&(down, up): &(u64, u64)| down <= to && from <= up;
        self.downs.get(&process).is_some_and(|downs| downs.iter().any(meets))
    }

    /// Whether a broker cut off anybody in this time: one that is fenced does so with all.
    pub(super) fn cut_off(&self, broker: Process, from: u64, to: u64) -> bool {
        let cuts = self.cuts.get(&broker).map_or(&[][..], Vec::as_slice);
        let first = cuts.partition_point(|&at| at < from);
        cuts.get(first).is_some_and(|&at| at <= to)
    }

    /// Until when what a broker had at this moment may be on its way, and so may the word that it was cut off.
    pub(super) fn soon(&self, broker: Process, since: u64) -> u64 {
        self.arrived(broker, since).max(since.saturating_add(SOON_US))
    }

    /// When what a broker had at this moment was certainly with the leader: it had answered a publish that was
    /// sent after the answer to one that was sent since. What a broker sends is taken in order, and one
    /// thing may wait for the answer to another.
    pub(super) fn arrived(&self, broker: Process, since: u64) -> u64 {
        let answered = self.answer(broker, since).and_then(|at| self.answer(broker, at));
        answered.unwrap_or(u64::MAX)
    }

    /// When it first answered a publish that was sent at this moment or later.
    fn answer(&self, broker: Process, since: u64) -> Option<u64> {
        let answers = self.answers.get(&broker).map_or(&[][..], Vec::as_slice);
        let first = answers.partition_point(|&(at, _)| at < since);
        answers[first..].iter().find(|&&(_, sent)| sent >= since).map(|&(at, _)| at)
    }
}
