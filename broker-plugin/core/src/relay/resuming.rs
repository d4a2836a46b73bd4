//! New streams and new epochs, and CONNECTs that wait for either.

use ha_types::link::{Needs, Resume, Upstream};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Open, Progress, RefuseReason, SessionKey, Tell,
};
use ha_types::{AskNumber, Millis, Ticket, TopicFilter};

use super::{Change, Relay, Seat, host};
use crate::host::HostCommand;
use crate::interest::items;
use crate::link::StreamId;
use crate::plugin::{Output, Plugin};
use crate::turn::Turns;

impl Plugin {
    /// Tells ha-server what is needed in another way.
    pub(crate) fn announce_changes(&mut self, changes: Vec<Change>, out: &mut Vec<Output>) {
        let Some(attached) = self.link.attached() else { return };
        announce(attached.stream, changes, out);
    }

    /// After Welcome, and after interest: the sessions that go on.
    pub(crate) fn resume(&mut self, stream: StreamId, out: &mut Vec<Output>) {
        announce(stream, self.relay.needs.all(), out);
        out.extend(
            self.relay.resumes().map(|resume| Output::Send(stream, Upstream::Resume(resume))),
        );
        out.push(Output::Send(stream, Upstream::Resumed));
    }

    /// The epoch has ended, and with it every session that this broker had: they are others' by now.
    /// CONNECTs that wait are asked again, by their order of arrival; but for those whose will may have been
    /// published with that end, and would be once more.
    pub(crate) fn lose_sessions(&mut self, out: &mut Vec<Output>) {
        let of_ha_server = |session: &&SessionKey| !session.is_provisional();
        let sessions: Vec<_> = self.relay.sessions.keys().filter(of_ha_server).copied().collect();
        sessions.into_iter().for_each(|session| self.fenced(session, out));
        let ended: Vec<_> = self.relay.asks.sent_with_will().collect();
        for connection in ended {
            if self.relay.guests.remove(&connection).is_some() {
                self.fenced(SessionKey::provisional(connection), out);
            } else if self.relay.opening.remove(&connection).is_some() {
                out.push(refusal(connection));
            }
        }
        let Relay { asks, opening, unwanted, guests, .. } = &mut self.relay;
        unwanted.clear();
        asks.begin_anew(guests.values().map(|guest| &guest.open).chain(opening.values()));
    }

    /// CONNECTs that have waited long enough for a leader are served without one, or refused.
    pub(crate) fn end_holds(&mut self, out: &mut Vec<Output>) {
        let hold_ms = self.config.connect_hold_ms;
        while let Some(open) = self.relay.overdue(self.now, hold_ms) {
            if self.serves_provisionally(&open) {
                self.serve(open, out);
            } else {
                let connection = open.connection;
                // It was never told that it is connected: its will is not due.
                self.relay.unwanted.insert(connection, CloseCause::Disconnect);
                out.push(refusal(connection));
            }
        }
    }
}

impl Relay {
    pub(crate) fn detached(&mut self, now: Millis) {
        self.holds.detached(now);
    }

    /// When a CONNECT has waited long enough, if there is no leader until then.
    pub(crate) fn hold_due(&self, hold_ms: u64) -> Option<Millis> {
        self.holds.due(hold_ms)
    }

    /// Forgets CONNECTs that were answered.
    pub(crate) fn trim_holds(&mut self) {
        self.holds.trim(|connection| self.opening.contains_key(&connection));
    }

    fn overdue(&mut self, now: Millis, hold_ms: u64) -> Option<Open> {
        self.trim_holds();
        let connection = self.holds.overdue(now, hold_ms)?;
        self.opening.remove(&connection)
    }

    /// A new stream of the same epoch.
    pub(crate) fn restart(&mut self, asked_upto: AskNumber) {
        let mut asks = std::mem::take(&mut self.asks);
        asks.restart(asked_upto, |ask| self.awaits(ask) || self.may_await(ask));
        self.asks = asks;
    }

    /// False: so much was never asked.
    pub(super) fn done(&mut self, upto: AskNumber) -> bool {
        let mut asks = std::mem::take(&mut self.asks);
        let is_sane = asks.done(upto, |ask| self.awaits(ask));
        self.asks = asks;
        is_sane
    }

    /// Whether an answer is due that has not come.
    fn awaits(&self, ask: &Ask) -> bool {
        let has =
            |session, waits: &dyn Fn(&Seat) -> bool| self.sessions.get(session).is_some_and(waits);
        match ask {
            Ask::Open(Open { connection, .. }) => {
                self.opening.contains_key(connection)
                    || self.guests.contains_key(connection)
                    || self.unwanted.contains_key(connection)
            }
            Ask::Subscribe { session, ticket, .. } => {
                has(session, &|seat| seat.subscribing.contains_key(ticket))
            }
            Ask::Unsubscribe { session, ticket, .. } => {
                has(session, &|seat| seat.unsubscribing.contains_key(ticket))
            }
            Ask::Fetch { session, .. } => has(session, &|seat| seat.given.is_fetching()),
            Ask::Publish { .. }
            | Ask::Release { .. }
            | Ask::Progress { .. }
            | Ask::Claim { .. }
            | Ask::Close { .. } => false,
        }
    }

    /// Whether an answer is due that may have been lost with a stream: an engine that had it ignores it.
    fn may_await(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Release { session, .. } => self.sessions.contains_key(session),
            Ask::Progress { session, progress: Progress { received, completed, .. } } => {
                let is_answered = !(received.is_empty() && completed.is_empty());
                is_answered && self.sessions.contains_key(session)
            }
            _ => false,
        }
    }

    /// The turn of the ask that is sent next.
    pub(crate) fn turn(&mut self) -> Option<crate::turn::Turn> {
        let unanswered = self.unanswered();
        let Self { asks, unwanted, .. } = self;
        asks.turn(unanswered, |ask| match ask {
            Ask::Open(open) => unwanted.remove(&open.connection).is_some(),
            _ => false,
        })
    }

    /// The ask that is sent next. A CONNECT whose client was answered here is a claim.
    pub(crate) fn next_to_send(&mut self, turns: &mut Turns) -> Option<Upstream> {
        let mut item = self.asks.next_to_send(self.unanswered(), turns)?;
        if let Upstream::Ask { ask, .. } = &mut item
            && let Ask::Open(open) = ask
            && let Some(seen) = self.answered_here(open.connection)
        {
            *ask = Ask::Claim { open: open.clone(), seen };
        }
        Some(item)
    }

    /// CONNECTs that ha-server has not answered.
    fn unanswered(&self) -> usize {
        self.opening.len() + self.guests.len() + self.unwanted.len()
    }

    /// What was seen of the log then. Of a client that is gone nothing is claimed but what it has.
    fn answered_here(&self, connection: ConnectionId) -> Option<u64> {
        let guest = self.guests.get(&connection).map(|guest| guest.seen);
        guest.or_else(|| self.unwanted.contains_key(&connection).then_some(0))
    }

    fn resumes(&self) -> impl Iterator<Item = Resume> {
        let of_ha_server = self.sessions.iter().filter(|(session, _)| !session.is_provisional());
        of_ha_server.map(|(session, seat)| Resume {
            session: *session,
            connection: seat.connection,
            receive_maximum: seat.receive_maximum,
            given_upto: seat.given.upto(),
        })
    }
}

fn refusal(connection: ConnectionId) -> Output {
    let tell = Tell::OpenRefused { connection, reason: RefuseReason::Unavailable };
    host(HostCommand::Tell(connection, tell))
}

fn announce(stream: StreamId, changes: Vec<Change>, out: &mut Vec<Output>) {
    for needs in [Some(Needs::All), Some(Needs::AtMostOnce), None] {
        let filters = changes.iter().filter(|(_, of)| *of == needs);
        for filters in items(filters.map(|(filter, _)| filter.clone())) {
            out.push(Output::Send(stream, announcement(needs, filters)));
        }
    }
}

fn announcement(needs: Option<Needs>, filters: Vec<TopicFilter>) -> Upstream {
    match needs {
        // Ticket 0 is nobody's: its answer is ignored.
        Some(needs) => Upstream::Announce { ticket: Ticket(0), needs, filters },
        None => Upstream::Withdraw { filters },
    }
}
