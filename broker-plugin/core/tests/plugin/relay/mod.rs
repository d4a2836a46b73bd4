//! Sessions that ha-server holds (ADR 0014).

mod common;

mod guests;
mod model;
mod opening;
mod publishing;
mod random;
mod sessions;
mod streams;
