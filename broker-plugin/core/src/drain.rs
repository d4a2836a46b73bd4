//! How a broker lets its clients go: when it refuses new ones, and how many it sends away when.
//!
//! Decides the pace only. What a client is told, and what is finished before, is the engine's
//! ([`Input::Leave`](crate::engine::Input::Leave)). One per broker.

use ha_types::Millis;

/// What an operator chose.
#[derive(Clone, Copy, Debug)]
pub struct DrainConfig {
    /// How long new clients are still taken, so that load balancers hear of it first. Milliseconds.
    pub grace_ms: u64,
    /// Clients that are sent away in a second, at least 1.
    pub rate: u32,
    /// How long all of it may take; what is left then is closed at once. Milliseconds.
    pub max_ms: u64,
}

/// Longest time that is made up for at once: after a pause of the process clients still go one by one.
const STEP_MS_MAX: u64 = 100;

/// What the last clients get that were told to go, before they are closed. The engine needs less.
const LAST_MS: u64 = 3_000;

/// Why new clients are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It leaves: they shall go elsewhere.
    Leaving,
    /// It cannot serve them.
    Unavailable,
}

/// What the shell must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Refuse new clients.
    Refuse(Refusal),
    /// Tell so many more clients to go.
    Tell(usize),
    /// Close whoever is left.
    EndAll,
    /// Take clients again.
    Admit,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Drain {
    config: DrainConfig,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Grace { until: Millis, plan: Plan },
    Leaving { stepped_at: Millis, thousandths: u64, plan: Plan },
    Gone(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    why: Refusal,
    /// Clients in a second.
    rate: u64,
    ends: Millis,
}

impl Drain {
    /// Serving.
    #[must_use]
    pub fn new(config: DrainConfig) -> Self {
        Self { config, phase: Phase::Serving }
    }

    /// Begins to drain, `rate` clients in a second; `None`: as configured. One that has begun goes on
    /// from where it is.
    pub fn begin(&mut self, now: Millis, rate: Option<u32>) {
        let rate = u64::from(rate.unwrap_or(self.config.rate).max(1));
        let ends = now.plus(self.config.max_ms);
        let new = Plan { why: Refusal::Leaving, rate, ends };
        self.phase = match self.phase {
            Phase::Serving => Phase::Grace { until: now.plus(self.config.grace_ms), plan: new },
            Phase::Grace { until, plan } => Phase::Grace { until, plan: Plan { rate, ..plan } },
            Phase::Leaving { stepped_at, thousandths, plan } => {
                let plan = Plan { why: Refusal::Leaving, rate, ..plan };
                Phase::Leaving { stepped_at, thousandths, plan }
            }
            Phase::Gone(_) => Phase::Gone(Refusal::Leaving),
        };
    }

    /// Lets all clients go as fast as they can, because they cannot be served.
    pub fn close(&mut self, now: Millis) {
        if self.phase == Phase::Serving {
            let ends = now.plus(self.config.max_ms.min(LAST_MS));
            let plan = Plan { why: Refusal::Unavailable, rate: u64::from(u32::MAX), ends };
            self.phase = Phase::Grace { until: now, plan };
        }
    }

    /// Takes clients again; those that were told go all the same.
    #[must_use]
    pub fn resume(&mut self) -> Option<Act> {
        let was = std::mem::replace(&mut self.phase, Phase::Serving);
        (was != Phase::Serving).then_some(Act::Admit)
    }

    /// Whether it was told to drain, and not to resume.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.why() == Some(Refusal::Leaving)
    }

    /// Whether it closes or has closed clients that it could not serve.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.why() == Some(Refusal::Unavailable)
    }

    fn why(&self) -> Option<Refusal> {
        match self.phase {
            Phase::Serving => None,
            Phase::Grace { plan, .. } | Phase::Leaving { plan, .. } => Some(plan.why),
            Phase::Gone(why) => Some(why),
        }
    }

    /// Whether all clients are gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Gone(_))
    }

    /// Whether [`step`](Self::step) is due every few milliseconds.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::Grace { .. } | Phase::Leaving { .. })
    }

    /// Goes on at `now`, while so many connections are open. Appends what to do.
    pub fn step(&mut self, now: Millis, open: usize, out: &mut Vec<Act>) {
        match self.phase {
            Phase::Grace { until, plan } if until <= now => {
                out.push(Act::Refuse(plan.why));
                self.phase = Phase::Leaving { stepped_at: now, thousandths: 0, plan };
                // The first client of each second goes at its beginning.
                self.leave(now, 1_000, open, out);
            }
            Phase::Leaving { .. } => self.leave(now, 0, open, out),
            Phase::Serving | Phase::Grace { .. } | Phase::Gone(_) => (),
        }
    }

    fn leave(&mut self, now: Millis, first: u64, open: usize, out: &mut Vec<Act>) {
        let Phase::Leaving { stepped_at, thousandths, plan } = &mut self.phase else { return };
        let elapsed = now.since(*stepped_at).min(STEP_MS_MAX);
        let due = first + *thousandths + elapsed.saturating_mul(plan.rate);
        (*stepped_at, *thousandths) = (now, due % 1_000);
        let why = plan.why;
        let is_late = plan.ends <= now;
        // Those who are left at the end get the time that one client needs.
        let hurries = plan.ends <= now.plus(LAST_MS);
        let tell = if hurries { open } else { usize::try_from(due / 1_000).unwrap_or(open) };
        if open == 0 || is_late {
            out.extend((open > 0).then_some(Act::EndAll));
            self.phase = Phase::Gone(why);
        } else if tell > 0 {
            out.push(Act::Tell(tell.min(open)));
        }
    }
}

#[cfg(test)]
mod tests;
