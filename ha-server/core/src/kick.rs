//! An operator ends the connection of a client, or its session.
//!
//! The broker of a connected client is asked to end it, as for a takeover: it says why to the client and
//! closes the session with its last progress. A session whose client is away is ended by a command. What
//! came of either shows in the state; nothing is remembered here, so that asking again is the way to go on
//! after a stream broke or the leader changed.

use ha_types::session::{Eviction, SessionKey, Tell};
use ha_types::{BrokerName, Millis};

use crate::cluster::{ClusterState, Command, FeatureLevel};
use crate::distributor::Distributor;
use crate::interface::Output;
use crate::proposals::Proposed;
use crate::sessions::Effect;

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kick {
    /// The connection ends, the session stays.
    Connection,
    /// Both end.
    Session,
}

/// What is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kicked {
    /// Nobody has a session of this name.
    Unknown,
    /// Its client is not connected: there is nothing to end.
    Away,
    /// Members of an older version could not end a session whose client is away.
    TooOld,
    /// It is connected to this broker, which cannot be told at the moment.
    Unreachable(BrokerName),
    /// This broker was told to end the connection of this ownership.
    Told(SessionKey, BrokerName),
    /// The end of this session is on its way through the log.
    Proposed(SessionKey),
}

impl Distributor {
    /// Ends the connection of a client, or its session as well.
    pub fn kick(
        &mut self,
        now: Millis,
        state: &ClusterState,
        (client_id, what): (&str, Kick),
        out: &mut Vec<Output>,
    ) -> Kicked {
        self.advance(now, out);
        let kicked = self.kick_now(state, (client_id, what), out);
        self.finish(state, out);
        kicked
    }

    fn kick_now(
        &mut self,
        state: &ClusterState,
        (client_id, what): (&str, Kick),
        out: &mut Vec<Output>,
    ) -> Kicked {
        let Some((session, owner)) = state.session_of(client_id) else { return Kicked::Unknown };
        let why = match what {
            Kick::Connection => Eviction::Kicked,
            Kick::Session => Eviction::Forgotten,
        };
        match (owner, what) {
            (Some(owner), _) => {
                let name = state.name_of(owner.broker).expect("an owner is alive");
                if self.sessions.owner(session) != Some(owner) {
                    return Kicked::Unreachable(name.clone());
                }
                self.effects.push(Effect::Tell(owner, Tell::Evict { session, why }));
                self.perform(out);
                Kicked::Told(session, name.clone())
            }
            (None, Kick::Connection) => Kicked::Away,
            (None, Kick::Session) if state.feature_level() < FeatureLevel::FORGET => Kicked::TooOld,
            (None, Kick::Session) => {
                self.propose(Proposed::Forget, Command::Forget { session }, out);
                Kicked::Proposed(session)
            }
        }
    }
}
