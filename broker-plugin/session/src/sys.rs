//! `$SYS/broker/…`: what the broker says about itself, in Mosquitto's naming.
//!
//! Local to this broker: never retained by the plugin, never sent to other brokers.

mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_core::host::{Delivery, NewSubscription, RetainedWanted};
use bytes::Bytes;
use ha_types::session::{Ask, RetainHandling, SessionKey, SubscribeOptions, Tell, Unqueued};
use ha_types::{Message, Publisher, Qos, Subscription, Ticket, TopicName};
use tokio::time::{Instant, interval};

use crate::counters::HostStats;
use crate::exchange::Exchange;
use crate::reached::Reached;
use load::Loads;

/// SUBSCRIBEs for `$SYS` that wait for the plugin; more get no values before the next change.
const SUBSCRIBING_MAX: usize = 10_000;

/// The last value of each topic.
#[derive(Debug, Default)]
pub(crate) struct SysTree {
    values: BTreeMap<&'static str, Arc<Message>>,
    /// At the plugin, by a broker that is alone.
    subscribing: BTreeMap<Ticket, Vec<NewSubscription>>,
    /// At ha-server.
    asked: BTreeMap<(SessionKey, Ticket), Vec<SubscribeOptions>>,
}

impl SysTree {
    /// Remembers a SUBSCRIBE that asks for `$SYS`, until the plugin has answered it.
    pub(crate) fn subscribing(&mut self, ticket: Ticket, subscriptions: &[NewSubscription]) {
        let is_sys =
            |new: &NewSubscription| new.subscription.filter().as_str().starts_with("$SYS/");
        if subscriptions.iter().any(is_sys) && self.subscribing.len() < SUBSCRIBING_MAX {
            self.subscribing.insert(ticket, subscriptions.to_vec());
        }
    }

    /// Adds the values that a SUBSCRIBE asked for to what the plugin found.
    pub(crate) fn add(&mut self, ticket: Ticket, retained: &mut [Vec<Delivery>]) {
        let Some(subscriptions) = self.subscribing.remove(&ticket) else { return };
        for (new, found) in subscriptions.iter().zip(retained) {
            // Handling 1 is not told from 0 here: values change all the time.
            if new.retained == RetainedWanted::Never {
                continue;
            }
            let filter = new.subscription.filter();
            let values = self.values.values().filter(|value| filter.matches(&value.topic));
            found.extend(
                values.map(|value| Delivery { message: Arc::clone(value), expires_in_s: None }),
            );
        }
    }

    /// Remembers an ask that concerns `$SYS`, until ha-server has answered it or the session has ended.
    pub(crate) fn asking(&mut self, ask: &Ask) {
        let is_sys = |options: &SubscribeOptions| {
            options.subscription.filter().as_str().starts_with("$SYS/")
        };
        match ask {
            Ask::Subscribe { session, ticket, subscriptions }
                if subscriptions.iter().any(is_sys) && self.asked.len() < SUBSCRIBING_MAX =>
            {
                self.asked.insert((*session, *ticket), subscriptions.clone());
            }
            Ask::Close { session, .. } => self.forget(*session),
            _ => (),
        }
    }

    fn forget(&mut self, session: SessionKey) {
        let all = (session, Ticket(0))..=(session, Ticket(u64::MAX));
        self.asked.extract_if(all, |_, _| true).for_each(drop);
    }

    /// Adds the values that a SUBSCRIBE asked for to its answer.
    pub(crate) fn add_to(&mut self, tell: &mut Tell) {
        match tell {
            Tell::Subscribed { session, ticket, granted } => {
                let Some(asked) = self.asked.remove(&(*session, *ticket)) else { return };
                for (options, answer) in asked.iter().zip(granted) {
                    if let Ok(granted) = answer {
                        granted.unqueued.extend(self.values_for(options));
                    }
                }
            }
            Tell::Fenced { session } => self.forget(*session),
            _ => (),
        }
    }

    /// Handling 1 is not told from 0 here: values change all the time.
    fn values_for(&self, options: &SubscribeOptions) -> Vec<Unqueued> {
        let Subscription::Plain(filter) = &options.subscription else { return Vec::new() };
        if options.retain_handling == RetainHandling::Never {
            return Vec::new();
        }
        let values = self.values.values().filter(|value| filter.matches(&value.topic));
        let unqueued = |message: &Arc<Message>| Unqueued {
            message: Arc::clone(message),
            qos: Qos::AtMostOnce,
            subscription_id: options.subscription_id,
        };
        values.map(unqueued).collect()
    }

    /// Takes a new value; `None`: it is the old one.
    pub(crate) fn set(&mut self, topic: &'static str, value: String) -> Option<Arc<Message>> {
        if self.values.get(topic).is_some_and(|known| known.payload == value.as_bytes()) {
            return None;
        }
        let message = Arc::new(Message {
            topic: TopicName::parse(Bytes::from_static(topic.as_bytes())).ok()?,
            payload: value.into(),
            properties: Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: true,
            expires_at: None,
            publisher: Publisher::default(),
        });
        self.values.insert(topic, Arc::clone(&message));
        Some(message)
    }
}

/// Publishes what has changed, for ever.
pub(crate) async fn run(exchange: Arc<Exchange>) {
    let every = exchange.config.sys_interval;
    if every == Duration::ZERO {
        return;
    }
    let start = Instant::now();
    let (mut loads, mut last) = (Loads::default(), start);
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        let stats = exchange.stats();
        let now = Instant::now();
        let counts = values(&exchange.config.software, now - start, &stats);
        let averages = loads.take(&stats, now - last);
        last = now;
        for (topic, value) in counts.into_iter().chain(averages) {
            if let Some(message) = exchange.set_sys(topic, value) {
                exchange.deliver_live(&message, &mut Reached::all_awake());
            }
        }
    }
}

/// Mosquitto's topics, as far as they mean something here.
fn values(software: &str, uptime: Duration, stats: &HostStats) -> Vec<(&'static str, String)> {
    let away = stats.sessions.saturating_sub(stats.connections);
    vec![
        ("$SYS/broker/version", software.to_owned()),
        ("$SYS/broker/uptime", format!("{} seconds", uptime.as_secs())),
        ("$SYS/broker/clients/total", stats.sessions.to_string()),
        ("$SYS/broker/clients/connected", stats.connections.to_string()),
        ("$SYS/broker/clients/active", stats.connections.to_string()),
        ("$SYS/broker/clients/disconnected", away.to_string()),
        ("$SYS/broker/clients/inactive", away.to_string()),
        ("$SYS/broker/clients/maximum", stats.connections_max.to_string()),
        ("$SYS/broker/subscriptions/count", stats.subscriptions.to_string()),
        ("$SYS/broker/store/messages/count", stats.queued.to_string()),
        ("$SYS/broker/messages/stored", stats.queued.to_string()),
        ("$SYS/broker/publish/messages/received", stats.publishes_in.to_string()),
        ("$SYS/broker/publish/messages/sent", stats.deliveries_out.to_string()),
        ("$SYS/broker/publish/messages/dropped", stats.dropped.to_string()),
        ("$SYS/broker/bytes/received", stats.bytes_in.to_string()),
        ("$SYS/broker/bytes/sent", stats.bytes_out.to_string()),
    ]
}
