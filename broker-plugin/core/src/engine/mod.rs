//! The MQTT engine: what its connections get and send. Who runs it is the `session` host.

pub mod routes;
