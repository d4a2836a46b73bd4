//! The task that answers for the broker: it looks at everything that readiness depends on, says what
//! load balancers are to know, and lets the clients go when that has to be.
//!
//! It decides nothing: [`Standing`] says how the broker stands, [`Drain`] who goes when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker_core::drain::{Act, Drain, DrainConfig};
use broker_core::standing::{Agent, Facts, Ports, Report, Standing, StandingConfig};
use ha_shell::health::{CheckState, Health};
use ha_types::Millis;
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant};

use crate::engine::Engine;
use crate::measure::Room;
use crate::plugin::Snapshot;

/// Between two looks, and while clients go.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const STEP_EVERY: Duration = Duration::from_millis(10);

/// Orders that wait; one more is dropped.
const ORDERS_MAX: usize = 16;

/// What ha-server, or the end of the process, wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Let the clients go, so many in a second; `None`: as configured.
    Drain(Option<u32>),
    /// Take clients again.
    Undrain,
}

/// Where orders are given, and what others read. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) sender: mpsc::Sender<Order>,
    /// The broker drains: heartbeats say so.
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl Orders {
    /// Gives an order without waiting.
    pub(crate) fn give(&self, order: Order) {
        // Full: whoever gives so many orders sees by the status which of them was the last.
        let _ = self.sender.try_send(order);
    }
}

/// What the steward looks at.
pub(crate) struct Sights {
    pub(crate) snapshot: Arc<Mutex<Snapshot>>,
    pub(crate) loaded: watch::Receiver<bool>,
    pub(crate) ports: watch::Receiver<Ports>,
    pub(crate) room: watch::Receiver<Room>,
}

/// Where the steward says what it sees.
pub(crate) struct Says {
    pub(crate) health: Health,
    pub(crate) agent: watch::Sender<Agent>,
    /// All clients are gone.
    pub(crate) over: watch::Sender<bool>,
}

struct Steward {
    standing: Standing,
    drain: Drain,
    engine: Arc<Engine>,
    sights: Sights,
    says: Says,
    is_draining: Arc<AtomicBool>,
    start: Instant,
}

/// A channel for orders.
pub(crate) fn orders() -> (Orders, mpsc::Receiver<Order>) {
    let (sender, orders) = mpsc::channel(ORDERS_MAX);
    (Orders { sender, is_draining: Arc::default() }, orders)
}

/// Answers for the broker until the last [`Orders`] is dropped.
pub(crate) async fn run(
    config: (StandingConfig, DrainConfig),
    engine: Arc<Engine>,
    (sights, says): (Sights, Says),
    is_draining: Arc<AtomicBool>,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut steward = Steward {
        standing: Standing::new(config.0),
        drain: Drain::new(config.1),
        engine,
        sights,
        says,
        is_draining,
        start: Instant::now(),
    };
    let mut ports = steward.sights.ports.clone();
    loop {
        steward.look();
        let pause = if steward.drain.is_moving() { STEP_EVERY } else { LOOK_EVERY };
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => steward.take(order),
                None => return,
            },
            Ok(()) = ports.changed() => (),
            () = time::sleep(pause) => (),
        }
    }
}

impl Steward {
    fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).expect("fits for 500 My"))
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Drain(rate) => {
                tracing::info!(clients = self.engine.clients(), "draining");
                self.drain.begin(self.now(), rate);
            }
            Order::Undrain => {
                tracing::info!("takes clients again");
                self.resume();
            }
        }
    }

    fn look(&mut self) {
        let report = self.standing.look(self.now(), &self.facts());
        match (report.closes_clients, self.drain.is_closing()) {
            (true, false) if !self.drain.is_draining() => {
                tracing::warn!(checks = ?failing(&report), "clients are sent away");
                self.drain.close(self.now());
            }
            (false, true) => self.resume(),
            _ => (),
        }
        self.step();
        self.say(&report);
    }

    fn facts(&self) -> Facts {
        let room = *self.sights.room.borrow();
        Facts {
            link: self.sights.snapshot.lock().expect("nobody panics while holding it").link,
            is_loaded: *self.sights.loaded.borrow(),
            ports: *self.sights.ports.borrow(),
            is_draining: self.drain.is_draining(),
            disk_free: room.disk_free,
            memory: room.memory,
        }
    }

    fn resume(&mut self) {
        if self.drain.resume() == Some(Act::Admit) {
            self.engine.admit();
        }
    }

    fn step(&mut self) {
        let mut acts = Vec::new();
        let was_over = self.drain.is_over();
        self.drain.step(self.now(), self.engine.clients(), &mut acts);
        for act in acts {
            match act {
                Act::Refuse(refusal) => self.engine.refuse(refusal),
                Act::Tell(count) => self.engine.leave(count),
                Act::EndAll => self.engine.end_all(),
                Act::Admit => self.engine.admit(),
            }
        }
        if self.drain.is_over() && !was_over {
            tracing::info!("all clients have gone");
        }
    }

    fn say(&self, report: &Report) {
        let Says { health, agent, over } = &self.says;
        for (name, wrong) in &report.checks {
            let state = wrong.clone().map_or(CheckState::Passing, CheckState::Failing);
            health.set_check(name, state);
        }
        health.set_field("isolated", report.is_isolated);
        health.set_field("draining", self.drain.is_draining());
        health.set_field("clients", self.engine.clients());
        agent.send_if_modified(|known| std::mem::replace(known, report.agent) != report.agent);
        self.is_draining.store(self.drain.is_draining(), Ordering::Release);
        let is_over = self.drain.is_draining() && self.drain.is_over();
        over.send_if_modified(|known| std::mem::replace(known, is_over) != is_over);
    }
}

fn failing(report: &Report) -> Vec<&str> {
    report.checks.iter().filter_map(|(_, wrong)| wrong.as_deref()).collect()
}
