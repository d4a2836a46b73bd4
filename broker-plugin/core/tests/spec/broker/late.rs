//! A holder whose answers are on their way: they come when the test lets them, in their order for
//! each connection and in any order across connections.

use std::collections::VecDeque;

use broker_core::engine::Input;
use ha_types::session::{ConnectionId, Tell};

use super::{Broker, Client};

impl Broker {
    /// From now on nobody hears what the holder tells.
    pub(crate) fn hold_answers(&mut self) {
        self.late.get_or_insert_default();
    }

    /// How much a client has not heard.
    pub(crate) fn unheard(&self, client: Client) -> usize {
        self.late.iter().flatten().filter(|(id, _)| id.0 == client.0).count()
    }

    /// The client hears the first thing that waits for it, if anything does.
    pub(crate) fn let_go_one(&mut self, client: Client) {
        let late = self.late.get_or_insert_default();
        if let Some(at) = late.iter().position(|(id, _)| id.0 == client.0) {
            let (id, tell) = late.remove(at).expect("just found");
            self.work.push_back((id, Input::Tell(tell)));
        }
        self.run();
    }

    /// The client hears all that waits for it now. What that causes waits again.
    pub(crate) fn let_go(&mut self, client: Client) {
        for _ in 0..self.unheard(client) {
            self.let_go_one(client);
        }
    }

    /// Everybody hears everything, and nothing is held back any more.
    pub(crate) fn let_go_all(&mut self) {
        let late: VecDeque<_> = self.late.take().unwrap_or_default();
        self.work.extend(late.into_iter().map(|(id, tell)| (id, Input::Tell(tell))));
        self.run();
    }

    /// What the plugin answers from now on takes its time.
    pub(crate) fn delay_answers(&mut self) {
        self.late_answers = Some(Vec::new());
    }

    /// The plugin's answers arrive.
    pub(crate) fn take_answers(&mut self) {
        let late = self.late_answers.take().unwrap_or_default();
        self.take(late);
        self.run();
    }

    pub(super) fn told(&mut self, id: ConnectionId, tell: Tell) {
        match &mut self.late {
            Some(late) => late.push_back((id, tell)),
            None => self.work.push_back((id, Input::Tell(tell))),
        }
    }
}
