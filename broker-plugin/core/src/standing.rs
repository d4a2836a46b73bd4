//! What a broker says of itself to load balancers, and whether it may keep its clients.
//!
//! Decides from facts that the shell gathers: is it isolated, which checks fail, what the agent-check
//! says. It does not look at anything itself, and it moves no client: [`drain`](crate::drain) does.
//! One per broker.

use ha_types::Millis;

use crate::link::LinkState;

/// How long a check may fail before clients are closed. A disk that is full for a moment, or a look that
/// came late, must not cost all connections; a load balancer takes half a second to notice.
const PATIENCE_MS: u64 = 5_000;

/// What an isolated broker does (`ISOLATED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenIsolated {
    /// It stays ready and serves whom it has: a load balancer never runs empty.
    Serve,
    /// It is not ready, and closes its clients.
    Close,
}

/// What an operator chose.
#[derive(Clone, Copy, Debug)]
pub struct StandingConfig {
    /// What to do when isolated.
    pub isolated: WhenIsolated,
    /// How long a broker without a leader is not isolated yet, milliseconds.
    pub hold_ms: u64,
}

/// A measure that has a limit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What there is.
    pub bytes: u64,
    /// What it may not fall below, or rise above.
    pub limit: u64,
}

/// The ports for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Bound; nobody is taken yet.
    Starting,
    /// Clients are taken.
    Open,
    /// They will be closed, or are.
    Stopping,
}

/// What the shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where the link is.
    pub link: LinkState,
    /// The copy of the retained messages, or ha-server that has them, was there once.
    pub is_loaded: bool,
    /// Open: a starting broker has waited for that as long as it shall.
    pub ports: Ports,
    /// It is leaving, or has left.
    pub is_draining: bool,
    /// Free bytes where it writes; `None`: it writes nothing.
    pub disk_free: Option<Measured>,
    /// Resident bytes of the process; `None`: not known here.
    pub memory: Option<Measured>,
}

/// What a load balancer's agent-check is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// As many clients as the others.
    Up,
    /// Clients only where there is nobody better.
    LastChoice,
    /// No new clients.
    Drain,
    /// No clients.
    Down,
}

impl Agent {
    /// The line, as HAProxy reads it. `ready` takes back an earlier `drain`, which nothing else does.
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Self::Up => "up 100% ready\n",
            Self::LastChoice => "up 1% ready\n",
            Self::Drain => "drain\n",
            Self::Down => "down\n",
        }
    }
}

/// What follows from the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// No leader for longer than the hold.
    pub is_isolated: bool,
    /// Every check, with what is wrong.
    pub checks: Vec<(&'static str, Option<String>)>,
    /// For the agent-check.
    pub agent: Agent,
    /// Clients must go: this broker cannot serve them, and has not been able to for a while.
    pub closes_clients: bool,
}

impl Report {
    /// Whether every check passes.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|(_, wrong)| wrong.is_none())
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Standing {
    config: StandingConfig,
    detached_since: Option<Millis>,
    /// Since when disk or memory are beyond their limits.
    beyond_since: Option<Millis>,
    looked_at: Option<Millis>,
}

impl Standing {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(config: StandingConfig) -> Self {
        Self { config, detached_since: None, beyond_since: None, looked_at: None }
    }

    /// Looks at the facts as of now. To be called a few times in a second.
    pub fn look(&mut self, now: Millis, facts: &Facts) -> Report {
        self.forgive_pause(now);
        let is_isolated = self.is_isolated(now, facts.link);
        let (disk, memory) = (facts.disk_free.and_then(disk), facts.memory.and_then(memory));
        let is_beyond = disk.is_some() || memory.is_some();
        since(&mut self.beyond_since, now, is_beyond);
        let is_closed = is_isolated && self.config.isolated == WhenIsolated::Close;
        let has_lasted = |at: Millis| now.since(at) >= PATIENCE_MS;
        let cluster = self.cluster(is_closed, facts);
        let listener = match facts.ports {
            Ports::Starting => Some("starting".to_owned()),
            Ports::Open => None,
            Ports::Stopping => Some("stopping".to_owned()),
        };
        let drain = facts.is_draining.then(|| "draining".to_owned());
        let checks = vec![
            ("cluster", cluster),
            ("disk", disk),
            ("drain", drain),
            ("listener", listener),
            ("memory", memory),
        ];
        let mut report = Report {
            is_isolated,
            checks,
            agent: Agent::Down,
            closes_clients: is_closed || self.beyond_since.is_some_and(has_lasted),
        };
        report.agent = agent(&report, facts);
        report
    }

    /// After a pause of this process what was seen before says nothing: everything begins again.
    fn forgive_pause(&mut self, now: Millis) {
        let was = self.looked_at.replace(now).unwrap_or(now);
        if now.since(was) > PATIENCE_MS {
            self.detached_since = self.detached_since.map(|_| now);
            self.beyond_since = self.beyond_since.map(|_| now);
        }
    }

    fn is_isolated(&mut self, now: Millis, link: LinkState) -> bool {
        let is_linked = matches!(link, LinkState::Attached | LinkState::Alone);
        since(&mut self.detached_since, now, !is_linked);
        self.detached_since.is_some_and(|at| now.since(at) >= self.config.hold_ms)
    }

    fn cluster(&self, is_closed: bool, facts: &Facts) -> Option<String> {
        if is_closed {
            return Some("isolated: no ha-server leads".to_owned());
        }
        let may_do_without =
            facts.ports != Ports::Starting && self.config.isolated == WhenIsolated::Serve;
        (!facts.is_loaded && !may_do_without)
            .then(|| "waits for ha-server and its retained messages".to_owned())
    }
}

fn since(known: &mut Option<Millis>, now: Millis, holds: bool) {
    *known = holds.then(|| known.unwrap_or(now));
}

fn disk(free: Measured) -> Option<String> {
    let Measured { bytes, limit } = free;
    (bytes < limit).then(|| format!("{bytes} bytes are free, DISK_FREE_MIN is {limit}"))
}

fn memory(resident: Measured) -> Option<String> {
    let Measured { bytes, limit } = resident;
    (bytes > limit).then(|| format!("{bytes} bytes are resident, MEMORY_MAX is {limit}"))
}

fn agent(report: &Report, facts: &Facts) -> Agent {
    match (report.is_ready(), report.is_isolated) {
        (true, false) => Agent::Up,
        (true, true) => Agent::LastChoice,
        (false, _) if facts.is_draining && facts.ports == Ports::Open => Agent::Drain,
        (false, _) => Agent::Down,
    }
}

#[cfg(test)]
mod tests;
