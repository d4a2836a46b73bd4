//! The host over TCP: raw MQTT in and out, a fake plugin behind.

mod cluster;
mod delivery;
mod hostile;
mod sessions;
#[cfg(test)]
mod support;
mod validation;
mod wills;
