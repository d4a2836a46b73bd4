//! The ha-servers of a group, mostly of one, and their brokers.

use serde_json::Value;

use crate::{Program, TemporaryFolder, wait};

/// Processes end before their folder goes: fields are dropped in this order.
#[derive(Debug)]
pub struct Cluster {
    /// The coordination servers.
    pub servers: Vec<Program>,
    /// The brokers, named `broker-1`, `broker-2` and so on.
    pub brokers: Vec<Program>,
    host: &'static str,
    folder: TemporaryFolder,
}

impl Cluster {
    /// Starts ha-server and this many brokers, and waits until all are ready.
    pub fn start(brokers: usize) -> Self {
        Self::of_host("session", brokers)
    }

    /// The same with another MQTT engine in the brokers.
    pub fn of_host(host: &'static str, brokers: usize) -> Self {
        let folder = TemporaryFolder::new();
        Self::of(vec![Program::server(folder.path())], folder, host, brokers)
    }

    /// The same with a group of ha-servers, whose node ids are their places and one.
    pub fn of_servers(servers: usize, brokers: usize) -> Self {
        let folder = TemporaryFolder::new();
        Self::of(Program::group(servers, folder.path()), folder, "session", brokers)
    }

    fn of(
        mut servers: Vec<Program>,
        folder: TemporaryFolder,
        host: &'static str,
        brokers: usize,
    ) -> Self {
        servers.iter_mut().for_each(Program::start);
        servers.iter_mut().for_each(Program::wait_ready);
        let mut cluster = Self { servers, brokers: Vec::new(), host, folder };
        for _ in 0..brokers {
            cluster.prepare().start();
        }
        cluster.brokers.iter_mut().for_each(Program::wait_ready);
        cluster
    }

    /// Adds a broker that is not started.
    pub fn prepare(&mut self) -> &mut Program {
        let name = format!("broker-{}", self.brokers.len() + 1);
        let mut broker = Program::broker_of(&self.servers, &name, self.folder.path());
        broker.set("CONFIG.HOST", self.host);
        self.brokers.push(broker);
        self.brokers.last_mut().expect("it was pushed")
    }

    /// Adds a broker and waits until it is ready.
    pub fn join(&mut self) -> &mut Program {
        let broker = self.prepare();
        broker.start_ready();
        broker
    }

    /// The MQTT port of a broker, counted from 0.
    pub fn port(&self, broker: usize) -> u16 {
        self.brokers[broker].port.number()
    }

    /// What `ha-server status --output json` prints, asked of the first ha-server.
    pub fn status(&self) -> Value {
        self.servers[0].ask(&["status"])
    }

    /// The place of the ha-server that leads.
    pub fn leader(&self) -> usize {
        wait::until("a leader", wait::LONG, || {
            let said = self.servers[0].tell(&["leader", "show", "--output", "json"]);
            let leader: Value = serde_json::from_slice(&said.stdout).ok()?;
            usize::try_from(leader["id"].as_u64()?).ok()?.checked_sub(1)
        })
    }

    /// What the status says about one broker, if ha-server knows it.
    pub fn status_of(&self, name: &str) -> Option<Value> {
        let status = self.status();
        let brokers = status["brokers"].as_array().unwrap();
        brokers.iter().find(|broker| broker["name"] == name).cloned()
    }

    /// Waits until the status gives this state to a broker.
    pub fn wait_state(&self, name: &str, state: &str) {
        wait::until(&format!("{name} is {state}"), wait::LONG, || {
            (self.status_of(name)?["state"] == state).then_some(())
        });
    }

    /// Waits until ha-server has this many retained messages. The PUBACK of this version means
    /// that its broker has the message, not yet that ha-server has; and a SUBSCRIBE on any broker
    /// sees what ha-server has.
    pub fn wait_retained(&self, messages: u32) {
        wait::until(&format!("{messages} retained messages"), wait::LONG, || {
            (self.status()["retained_messages"] == messages).then_some(())
        });
    }

    /// Where its programs have their files.
    pub fn folder(&self) -> &TemporaryFolder {
        &self.folder
    }
}
