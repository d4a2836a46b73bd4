//! When a client's task must look at its connection again.

use broker_core::engine::{Ending, Input, Moment, Surroundings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::{Task, WRITE_TIMEOUT};

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    /// The next moment at which something is due.
    fn due(&self, at: Moment) -> Option<Instant> {
        let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
        let deadline = self.connection.deadline(at, &around);
        let deadline = deadline.map(|at| self.exchange.clock.instant(at));
        let stalled = self.stalled_since.map(|since| since + WRITE_TIMEOUT);
        let pause = self.pause.as_ref().map(|pause| pause.until);
        [deadline, stalled, pause].into_iter().flatten().min()
    }

    /// Whether it rings in time.
    pub(super) fn is_alarm_set(&self, at: Moment) -> bool {
        self.due(at)
            .is_none_or(|due| self.alarm.as_ref().is_some_and(|alarm| alarm.deadline() <= due))
    }

    pub(super) fn set_alarm(&mut self, at: Moment) {
        let Some(due) = self.due(at) else { return };
        match &mut self.alarm {
            // It rings too early at most; deadlines mostly move away.
            Some(alarm) if alarm.deadline() <= due => (),
            Some(alarm) => alarm.as_mut().reset(due),
            None => self.alarm = Some(Box::pin(sleep_until(due))),
        }
    }

    pub(super) fn ring(&mut self, at: Moment) {
        let now = Instant::now();
        if let Some(pause) = self.pause.take_if(|pause| pause.until <= now) {
            pause.recipient.give_up();
        }
        if self.stalled_since.is_some_and(|since| since + WRITE_TIMEOUT <= now) {
            return self.step(at, Input::End(Ending::NotReading));
        }
        self.step(at, Input::Tick);
    }
}
