//! The embedded rumqttd router and the only code that names rumqttd.
//!
//! The router matches subscriptions, keeps a log per filter and runs the outgoing QoS 1 and 2
//! flow. It sees no client id, no property and no packet as the client sent it: sessions have
//! [slot names](crate::registry), messages travel in an [`envelope`], acknowledgements arrive in
//! the order that it insists on. So no client can make it close a link by itself, and nobody
//! wakes a link that it has closed: both would panic it.

pub(crate) mod envelope;
pub(crate) mod injector;
pub(crate) mod link;
pub(crate) mod watch;
