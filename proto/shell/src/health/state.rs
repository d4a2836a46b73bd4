//! What was said last about the health of the process.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use tokio::sync::watch;

/// Whether a restart of the process would help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Liveness {
    /// No need for one.
    #[default]
    Alive,
    /// It would, and why.
    Stuck(String),
}

/// Whether one thing that the process needs in order to serve is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// It is.
    Passing,
    /// It is not, and why.
    Failing(String),
}

#[derive(Clone, Debug, Default)]
struct State {
    liveness: Liveness,
    checks: BTreeMap<&'static str, CheckState>,
    fields: BTreeMap<&'static str, Value>,
}

/// Handle on the health of the process; clones share it. Never waits.
///
/// Bounded, because every name is a constant of the program.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<watch::Sender<State>>,
}

impl Health {
    /// Alive, and not ready until each of `checks` was said to pass.
    pub fn new(checks: &[&'static str]) -> Self {
        let starting = || CheckState::Failing("starting".to_owned());
        let checks = checks.iter().map(|&name| (name, starting())).collect();
        let state = State { checks, ..State::default() };
        Self { state: Arc::new(watch::Sender::new(state)) }
    }

    /// Says whether a restart would help.
    pub fn set_liveness(&self, liveness: Liveness) {
        self.state.send_modify(|state| state.liveness = liveness);
    }

    /// Says how the check `name` stands. A new name adds a check.
    pub fn set_check(&self, name: &'static str, check: CheckState) {
        self.state.send_modify(|state| drop(state.checks.insert(name, check)));
    }

    /// Adds a field to the JSON of `/readyz`, such as `isolated: true`. Does not change readiness.
    ///
    /// `ready` and `checks` are taken; such a field is not shown.
    pub fn set_field(&self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        self.state.send_modify(|state| drop(state.fields.insert(name, value)));
    }

    /// Whether the process is alive and every check passes.
    pub fn is_ready(&self) -> bool {
        self.state.borrow().is_ready()
    }

    /// Returns once the process is alive and every check passes.
    pub async fn ready(&self) {
        let mut changes = self.state.subscribe();
        changes.wait_for(State::is_ready).await.expect("this handle keeps the sender");
    }

    pub(super) fn liveness(&self) -> Liveness {
        self.state.borrow().liveness.clone()
    }

    /// Readiness, and the JSON object of `/readyz`.
    pub(super) fn readiness(&self) -> (Readiness, Value) {
        let state = self.state.borrow();
        let readiness = if state.is_ready() { Readiness::Ready } else { Readiness::Unready };
        (readiness, state.report())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    Unready,
}

impl State {
    fn is_ready(&self) -> bool {
        self.liveness == Liveness::Alive
            && self.checks.values().all(|check| *check == CheckState::Passing)
    }

    fn report(&self) -> Value {
        let told = |check: &CheckState| match check {
            CheckState::Passing => "ok".to_owned(),
            CheckState::Failing(reason) => reason.clone(),
        };
        let checks = self.checks.iter().map(|(&name, check)| (name, told(check)));
        let stuck = match &self.liveness {
            Liveness::Alive => None,
            Liveness::Stuck(reason) => Some(("live", reason.clone())),
        };
        let checks = checks.chain(stuck).map(|(name, told)| (name.to_owned(), told.into()));
        let mut report: Map<String, Value> =
            self.fields.iter().map(|(&name, value)| (name.to_owned(), value.clone())).collect();
        report.insert("ready".to_owned(), self.is_ready().into());
        report.insert("checks".to_owned(), checks.collect::<Map<_, _>>().into());
        report.into()
    }
}
