//! What the shells of `ha-server` and `ha-broker` share, and nothing of what they decide.
//!
//! - Configuration: a program declares what it knows ([`schema`]); [`layers`] combines the defaults,
//!   the file ([`ini`] or [`json`]), the environment and `--set` into settings that cannot be wrong,
//!   or into a [`problem::ConfigError`] that names the place of every mistake.
//! - Start and stop: [`args`], [`logging`], [`bind`], [`workers`], [`signals`], [`exit`].
//! - Being watched: [`health`].
//!
//! Absent on purpose: no key of either program is named here, nothing prints, and only [`logging`]
//! reads the environment (`NO_COLOR`).

pub mod args;
pub mod bind;
pub mod exit;
pub mod health;
pub mod ini;
pub mod json;
pub mod layers;
pub mod logging;
pub mod problem;
pub mod program;
pub mod schema;
pub mod signals;
pub mod workers;
