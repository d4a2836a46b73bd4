//! Where one socket counts: among those without a CONNECT, then among the clients.

use std::sync::Arc;

use broker_core::codec::Reason;
use ha_types::session::ConnectionId;

use crate::exchange::Exchange;
use crate::host::Door;
use crate::mailbox::Mailbox;

/// See the module. Given back by [`leave`](Self::leave).
#[derive(Debug)]
pub(crate) struct Seat {
    exchange: Arc<Exchange>,
    door: Arc<Door>,
    id: ConnectionId,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    HalfOpen,
    Client,
    /// There was none, or it was given back.
    None,
}

impl Seat {
    pub(crate) fn new(exchange: &Arc<Exchange>, door: &Arc<Door>, mailbox: &Arc<Mailbox>) -> Self {
        exchange.half_open.enter(mailbox);
        let (exchange, door) = (Arc::clone(exchange), Arc::clone(door));
        Self { exchange, door, id: mailbox.id, place: Place::HalfOpen }
    }

    pub(crate) fn is_half_open(&self) -> bool {
        self.place == Place::HalfOpen
    }

    /// The first packet came.
    ///
    /// # Errors
    /// The listener, or the broker, has no place for a client, or takes none.
    pub(crate) fn take(&mut self) -> Result<(), Reason> {
        self.leave();
        if let Some(reason) = self.exchange.refusing.reason() {
            return Err(reason);
        }
        if !self.door.clients.take() {
            return Err(Reason::SERVER_BUSY);
        }
        if !self.exchange.clients.take() {
            self.door.clients.give_back();
            return Err(Reason::SERVER_BUSY);
        }
        self.place = Place::Client;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        match std::mem::replace(&mut self.place, Place::None) {
            Place::HalfOpen => self.exchange.half_open.leave(self.id),
            Place::Client => {
                self.exchange.clients.give_back();
                self.door.clients.give_back();
            }
            Place::None => (),
        }
    }
}
