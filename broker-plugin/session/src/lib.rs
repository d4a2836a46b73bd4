//! The session host: sockets and tasks round the MQTT engine of `broker-core`.
//!
//! ```text
//!            ┌ client task ── Connection ┐            routes: who is connected and subscribes
//! sockets ───┤     (one per socket)      ├── Exchange ─┤
//!            └ client task ── Connection ┘      │     keeper: who holds sessions
//!                                               │
//!                                          link task ── plugin (other brokers, retained messages)
//! ```
//!
//! Sessions are in a replicated state behind the plugin: ha-server's in a cluster, one of its own where the
//! broker is alone. What engines ask goes to the plugin in one lane with what clients publish, and what it
//! tells them comes from there. Alone, only what that state must keep takes this way. A broker that shall
//! keep nothing has the holder of `broker-core` instead.
//!
//! A client's task has its [`Connection`](broker_core::engine::Connection) and steps it. What it
//! publishes it puts itself into the mailboxes of those who subscribe; the task of each takes it from
//! there. So there is no central loop that every message passes, and a message between two clients
//! costs one lock of a mailbox. While there is little to do, it does not even cost a task that has to be
//! woken: the publisher's does the work of the only recipient that sleeps, and only then writes its answer.
//!
//! Locks, none across an await, taken in this order: the client's own task, holder, routes, mailboxes. Another
//! client's task is only ever tried, never waited for. Absent on purpose:
//! - No task waits for a client that does not read: mailboxes are always emptied, and what does not
//!   fit its connection's limits is dropped or ends the connection.
//! - No decision is made here that a test would need a socket for.

mod access_log;
mod admission;
mod answers;
mod client;
mod clock;
mod config;
mod counters;
mod departure;
mod exchange;
mod here;
mod host;
mod keeper;
mod lane;
mod link;
mod loopback;
mod mailbox;
mod perform;
mod reached;
mod seat;
mod slots;
mod socket;
mod sys;

pub use admission::{Admission, Judging};
pub use config::{HostConfig, InvalidConfig, ListenerLimits};
pub use counters::HostStats;
pub use host::{Certificate, Host, Origin, PluginPorts, ProbeError, SessionPorts, start};
pub use keeper::OwnState;
pub use lane::{Lane, LaneEnd, Traffic, lane};
