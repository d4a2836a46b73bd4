//! What others may do in the place of a client's task while it sleeps.

use std::task::{Context, Waker};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Task;

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    /// Does what its letters ask for, and writes what comes of that. False: the task has to be woken, for
    /// it is not asleep, or something is left that it must do itself.
    ///
    /// Nobody is woken by what is waited for here, so nothing may be.
    pub(super) fn attend(&mut self) -> bool {
        if !self.waits || self.performer.is_blocked() || self.pause.is_some() || !self.is_written()
        {
            return false;
        }
        let at = self.exchange.clock.moment();
        self.read_letters(at);
        self.work(at);
        self.performer.reached.wake();
        self.count();
        self.write(at, &mut Context::from_waker(Waker::noop()));
        self.waits = !self.connection.is_ended()
            && self.is_written()
            && self.verdict.is_none()
            && !self.performer.is_blocked()
            && self.pause.is_none()
            && self.listens(at) == self.reads
            && self.is_alarm_set(at);
        if self.waits {
            self.rest();
        }
        self.waits
    }

    fn is_written(&self) -> bool {
        self.out.bytes.is_empty() && self.socket.is_flushed()
    }
}
