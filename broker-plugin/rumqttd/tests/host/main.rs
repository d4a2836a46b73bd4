//! The host: raw MQTT in and out, a fake plugin behind.

mod access;
mod admission;
mod cluster;
mod delivery;
mod entrance;
mod hostile;
mod sessions;
#[cfg(test)]
mod support;
mod validation;
mod wills;
