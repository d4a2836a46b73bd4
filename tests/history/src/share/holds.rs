//! Who held which message when, and what that breaks.

use std::collections::{BTreeMap, BTreeSet};

use super::connections::{Circumstances, Connection};
use super::verdict::{Hold, Verdict, Violation};
use super::{Dup, End, Event, Member, Message, SPREAD_JUDGED_MIN, SPREAD_PERCENT, What};

/// One delivery.
#[derive(Clone, Copy, Debug)]
struct Delivery {
    /// Its place among all connections.
    connection: usize,
    at: u64,
    dup: Dup,
    acknowledged: Option<u64>,
}

/// What is known of one run.
#[derive(Debug, Default)]
struct Run {
    circumstances: Circumstances,
    published: BTreeMap<Message, u64>,
    /// Of each group, in the order in which they came.
    deliveries: BTreeMap<(Message, u16), Vec<Delivery>>,
    members: BTreeSet<Member>,
    /// Deliveries of each member before anything failed.
    calm: BTreeMap<Member, u64>,
    is_calm: bool,
    verdict: Verdict,
}

/// Judges what was observed.
#[must_use]
pub fn check(events: &[Event]) -> Verdict {
    let mut run = Run { is_calm: true, ..Run::default() };
    for &event in events {
        run.take(event);
    }
    run.judge();
    run.verdict
}

impl Run {
    fn take(&mut self, event: Event) {
        let Event { at, what } = event;
        match what {
            What::Published(message) => {
                self.published.entry(message).or_insert(at);
            }
            What::Connected(member, _) => {
                self.members.insert(member);
                self.verdict.counts.connections += 1;
            }
            What::Delivered(member, message, dup) => self.deliver((at, dup), member, message),
            What::Acknowledged(member, message) => self.acknowledge(at, member, message),
            What::Ended(_, End::Chosen) => self.verdict.counts.left += 1,
            What::Quiet if self.is_calm => self.judge_spread(),
            What::Quiet
            | What::Ended(_, End::Suffered)
            | What::Answered(..)
            | What::Settled(..)
            | What::Down(_)
            | What::Up(_) => (),
        }
        self.is_calm &= !matches!(what, What::Ended(..) | What::Down(_) | What::Quiet);
        self.circumstances.take(event);
    }

    fn deliver(&mut self, (at, dup): (u64, Dup), member: Member, message: Message) {
        let Some(connection) = self.circumstances.of(member) else {
            return self.verdict.report(Violation::Misrecorded { at, member, message });
        };
        self.verdict.counts.delivered += 1;
        *self.calm.entry(member).or_default() += 1;
        let all = self.deliveries.entry((message, member.group)).or_default();
        all.push(Delivery { connection, at, dup, acknowledged: None });
    }

    fn acknowledge(&mut self, at: u64, member: Member, message: Message) {
        let connection = self.circumstances.of(member);
        let mut all = self.deliveries.get_mut(&(message, member.group)).into_iter().flatten();
        let is_meant =
            |it: &&mut Delivery| Some(it.connection) == connection && it.acknowledged.is_none();
        let Some(delivery) = all.find(is_meant) else {
            return self.verdict.report(Violation::Misrecorded { at, member, message });
        };
        delivery.acknowledged = Some(at);
        self.verdict.counts.acknowledged += 1;
    }

    /// A group with too few deliveries is left out.
    fn judge_spread(&mut self) {
        let groups: BTreeSet<_> = self.members.iter().map(|member| member.group).collect();
        for group in groups {
            let members = self.members.iter().filter(|member| member.group == group);
            let got = |member: &Member| self.calm.get(member).copied().unwrap_or(0);
            let (members, got): (Vec<_>, Vec<_>) = members.map(|it| (*it, got(it))).unzip();
            let (all, count) = (got.iter().sum::<u64>(), members.len() as u64);
            if all < SPREAD_JUDGED_MIN * count {
                continue;
            }
            self.verdict.counts.spread_judged += 1;
            for (member, got) in members.into_iter().zip(got) {
                if (got * count).abs_diff(all) * 100 > all * SPREAD_PERCENT {
                    self.verdict.report(Violation::Uneven { member, got, all, members: count });
                }
            }
        }
    }

    fn judge(&mut self) {
        self.verdict.counts.published = self.published.len() as u64;
        self.judge_losses();
        for (&(message, _), deliveries) in &std::mem::take(&mut self.deliveries) {
            for (place, second) in deliveries.iter().enumerate() {
                for first in &deliveries[..place] {
                    self.judge_pair(message, first, second);
                }
            }
        }
    }

    fn judge_losses(&mut self) {
        let groups: BTreeSet<_> = self.members.iter().map(|member| member.group).collect();
        for (&message, &published) in &self.published {
            for &group in &groups {
                let all = self.deliveries.get(&(message, group)).map_or(&[][..], Vec::as_slice);
                if all.iter().all(|delivery| delivery.acknowledged.is_none()) {
                    let last = all.last().map(|last| self.circumstances.hold(last));
                    self.verdict.report(Violation::Lost { group, message, published, last });
                }
            }
        }
    }

    /// Of one message and one group.
    fn judge_pair(&mut self, message: Message, first: &Delivery, second: &Delivery) {
        let circumstances = &self.circumstances;
        let acknowledged = first.acknowledged.filter(|&at| at <= second.at);
        let was_over = circumstances.connections[first.connection].had_ended(second.at);
        if acknowledged.is_none() && was_over {
            self.verdict.counts.handed_on += 1;
            return;
        }
        let is_excused = first.connection != second.connection
            && match acknowledged {
                Some(at) => circumstances.excuses_repeat(first, at, second),
                None => circumstances.excuses_two(first, second),
            };
        if is_excused {
            self.verdict.counts.excused += 1;
            return;
        }
        if acknowledged.is_some_and(|at| circumstances.excuses_same(first, at, second)) {
            self.verdict.counts.came_back += 1;
            return;
        }
        let holds = [circumstances.hold(first), circumstances.hold(second)];
        self.verdict.report(match acknowledged {
            Some(_) => Violation::AfterAcknowledgement { message, holds },
            None => Violation::HeldByTwo { message, holds },
        });
    }
}

impl Circumstances {
    fn hold(&self, delivery: &Delivery) -> Hold {
        let Delivery { connection, at, acknowledged, .. } = *delivery;
        let Connection { member, broker, began, ended, settled } = self.connections[connection];
        let is_settled = acknowledged.is_some_and(|at| at < settled);
        Hold { member, broker, began, received: at, acknowledged, is_settled, ended }
    }

    /// Whether the second may have it while the first does not know better.
    fn excuses_two(&self, first: &Delivery, second: &Delivery) -> bool {
        let one = self.connections[first.connection];
        self.is_stale(&one, second.at)
            || self.was_down(one.broker, first.at, second.at)
            || self.came_late(first, second)
    }

    /// Whether the acknowledgement may never have reached a leader.
    fn excuses_repeat(&self, first: &Delivery, acknowledged: u64, second: &Delivery) -> bool {
        let one = self.connections[first.connection];
        let soon = self.soon(one.broker, acknowledged);
        let was_read = acknowledged < one.settled;
        (!was_read && one.ended_within(acknowledged, soon))
            || self.was_down(one.broker, acknowledged, soon)
            || self.cut_off(one.broker, acknowledged, soon)
            || self.came_late(first, second)
    }

    /// Whether a member came back before its acknowledgement was certainly with the leader, and may get the
    /// message again.
    fn excuses_same(&self, first: &Delivery, acknowledged: u64, second: &Delivery) -> bool {
        let [one, other] = [first, second].map(|it| self.connections[it.connection]);
        one.member == other.member
            && second.dup == Dup::Set
            && other.began < self.arrived(one.broker, acknowledged)
    }

    /// Whether the second is what a broker that was cut off had been given before the first was.
    fn came_late(&self, first: &Delivery, second: &Delivery) -> bool {
        let other = self.connections[second.connection];
        other.began <= first.at && self.is_stale(&other, second.at)
    }

    /// Whether a connection was that of a broker that was cut off: its end came soon after, or would have
    /// come if its member had waited.
    fn is_stale(&self, connection: &Connection, at: u64) -> bool {
        let after = self.soon(connection.broker, at);
        connection.ended_within(at, after) && self.cut_off(connection.broker, at, after)
    }
}
