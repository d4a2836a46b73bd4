//! A message on its way to its recipients.
//!
//! A handle is an `Arc`, as a mailbox would be; the closure reads what it points to.

use std::hint::black_box;
use std::sync::Arc;

use broker_core::engine::{Route, Routes, Scratch, Wants};
use bytes::Bytes;
use ha_types::session::ConnectionId;
use ha_types::{Message, Qos, SessionId};

use crate::{TOPIC, filter, message};

/// Filters that match [`TOPIC`], the most usual first.
pub const FILTERS: [&str; 3] = [TOPIC, "plant/+/line/+/speed", "plant/#"];

/// A round finds so many recipients, each with so many of [`FILTERS`], among 10,000 connections.
pub fn fan_out(recipients: u64, filters: usize) -> impl FnMut() {
    let mut routes = routes(10_000, &["other/topic"]);
    (0..recipients).for_each(|n| connect(&mut routes, n, &FILTERS[..filters]));
    let (message, mut scratch) = (published(), Scratch::default());
    move || {
        black_box(count(&routes, &message, &mut scratch));
    }
}

/// Finds all recipients.
#[must_use]
pub fn count(routes: &Routes<Arc<u64>>, message: &Message, scratch: &mut Scratch) -> u64 {
    let mut found = 0;
    routes.for_each_recipient(black_box(message), scratch, |handle, hit| {
        found += **handle + u64::from(hit.qos.level());
    });
    found
}

/// So many connections, each with these filters.
#[must_use]
pub fn routes(connections: u64, filters: &[&str]) -> Routes<Arc<u64>> {
    let mut routes = Routes::new(1);
    (0..connections).for_each(|n| connect(&mut routes, n, filters));
    routes
}

/// Adds one.
pub fn connect(routes: &mut Routes<Arc<u64>>, connection: u64, filters: &[&str]) {
    let handle = Arc::new(connection);
    let route = Route {
        session: SessionId(connection),
        subscription_id: None,
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        wants: Wants::All,
    };
    for text in filters {
        routes.add(ConnectionId(connection), handle.clone(), &filter(text), route);
    }
}

/// What they get.
#[must_use]
pub fn published() -> Message {
    message(Qos::AtLeastOnce, Bytes::from_static(&[7; 256]))
}
