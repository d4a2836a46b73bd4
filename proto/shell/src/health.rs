//! How load balancers, container platforms and Prometheus see the process.
//!
//! - `GET /livez`: 200 `ok`, or 503 and why the process should be restarted.
//! - `GET /readyz`: 200 or 503, and JSON with every check.
//! - `GET /metrics`: OpenMetrics text.
//!
//! Decides only how the answers look. What makes the process alive or ready is said by whoever owns
//! that state, through [`Health`]; every answer comes from what was said last and waits for nobody.
//! A task that hangs cannot say so itself: another one must watch it and call
//! [`Health::set_liveness`].

mod routes;
mod serve;
mod state;

pub use routes::Metrics;
pub use serve::{CONNECTION_TIME_MAX, CONNECTIONS_MAX, serve};
pub use state::{CheckState, Health, Liveness};

#[cfg(test)]
mod tests;
