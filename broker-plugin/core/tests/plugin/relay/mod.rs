//! Sessions that ha-server holds (ADR 0014).

mod common;

mod model;
mod opening;
mod publishing;
mod random;
mod sessions;
mod streams;
