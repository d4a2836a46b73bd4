//! Connections to other ha-servers, one for each address and purpose, made when they are needed.
//!
//! A request is sent at once or fails at once: nothing waits for a server that is away, and the
//! first request after it came back reaches it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use ha_node::Failover;
use tonic::transport::{Channel, Endpoint};

/// Addresses at a time: members, and those that were members. One more closes all; who needs a
/// connection makes a new one.
const CHANNELS_MAX: usize = 32;

/// What servers may send before the other end has taken it, so that one round trip carries a whole
/// request.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Connections for one purpose.
#[derive(Debug)]
pub(crate) struct Channels {
    patience: Patience,
    open: Mutex<BTreeMap<String, Channel>>,
}

/// How long a server may be silent.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// To take a connection. A lost first packet is sent again only after a second, so a new
    /// attempt is sooner.
    connect: Duration,
    /// After so much silence it is asked whether it is there,
    ask_after: Duration,
    /// and given up after so much more: what the system would send again after a long outage comes
    /// later than a new connection.
    answer: Duration,
}

impl Channels {
    pub(crate) fn new(failover: Failover) -> Self {
        let of = |connect, ask_after, answer| Patience {
            connect: Duration::from_millis(connect),
            ask_after: Duration::from_millis(ask_after),
            answer: Duration::from_millis(answer),
        };
        let patience = match failover {
            Failover::Normal | Failover::Fast => of(200, 200, 1_000),
            Failover::Wan => of(2_000, 1_000, 5_000),
        };
        Self { patience, open: Mutex::default() }
    }

    /// The connection to `address`, made at its first request and again after it broke. Its tasks
    /// belong to the runtime in which this is called first.
    ///
    /// # Errors
    /// `address` is not `host:port`.
    pub(crate) fn to(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let mut open = self.open.lock().expect("nobody panics while holding it");
        if let Some(channel) = open.get(address) {
            return Ok(channel.clone());
        }
        let Patience { connect, ask_after, answer } = self.patience;
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(connect)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ask_after)
            .keep_alive_timeout(answer)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect_lazy();
        if open.len() >= CHANNELS_MAX {
            open.clear();
        }
        open.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_more_than_the_limit_closes_all_others() {
        let channels = Channels::new(Failover::Normal);
        let open = || channels.open.lock().unwrap().len();
        for port in 1..=CHANNELS_MAX {
            channels.to(&format!("127.0.0.1:{port}")).unwrap();
            channels.to("127.0.0.1:1").unwrap();
        }
        assert_eq!(open(), CHANNELS_MAX);
        channels.to("127.0.0.1:60000").unwrap();
        assert_eq!(open(), 1);
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        assert!(Channels::new(Failover::Wan).to("a b").is_err());
    }
}
