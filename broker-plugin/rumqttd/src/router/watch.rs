//! Round trips through the router's thread, by a PINGREQ over a link of our own, which no client
//! sees: whether the router lives, and whether it has done what it was told.

use std::time::Duration;

use rumqttd::local::LinkRx;
use rumqttd::protocol::{Packet, PingReq};
use tokio::sync::{Mutex, watch};
use tokio::time::{interval, timeout};

use super::envelope::{FromRouter, open};
use super::link::{Opened, RouterGone, SharedLink};

/// The router answers within microseconds when it is idle, within milliseconds under load.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long ready subscribers may wait at most behind a link that is gone.
const NUDGE_INTERVAL: Duration = Duration::from_millis(100);

/// Why the host is not alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The router's thread has ended. It does not come back: end the process.
    #[error("the rumqttd router has died")]
    Died,
    /// The router did not answer within two seconds.
    #[error("the rumqttd router does not answer")]
    Silent,
}

/// A link that only pings.
#[derive(Debug)]
pub(crate) struct Prober {
    link: SharedLink,
    notifications: LinkRx,
    /// Without an answer so far; more than one after a probe that was given up.
    unanswered: usize,
}

impl Prober {
    pub(crate) fn new(opened: Opened) -> Self {
        Self { link: opened.link, notifications: opened.notifications, unanswered: 0 }
    }

    /// One round trip through the router's thread.
    pub(crate) async fn probe(&mut self) -> Result<(), ProbeError> {
        self.link.push(vec![Packet::PingReq(PingReq)]).map_err(|_| ProbeError::Died)?;
        self.unanswered += 1;
        timeout(PROBE_TIMEOUT, self.answer()).await.unwrap_or(Err(ProbeError::Silent))
    }

    async fn answer(&mut self) -> Result<(), ProbeError> {
        while self.unanswered > 0 {
            let notification = self.notifications.next().await.map_err(|_| ProbeError::Died)?;
            if notification.map(open) == Some(FromRouter::Pingresp) {
                self.unanswered -= 1;
            }
        }
        Ok(())
    }
}

/// Waits until the router has handled everything that any link gave it before.
///
/// The router takes all packets of a link at the first of its wake-ups that it sees. So packets of
/// one link can overtake those of another, and a DISCONNECT can overtake a wake-up of its own link,
/// which panics the router. The link of a barrier has one packet at a time, which overtakes nobody.
#[derive(Debug)]
pub(crate) struct Barrier(Mutex<Prober>);

impl Barrier {
    pub(crate) fn new(opened: Opened) -> Self {
        Self(Mutex::new(Prober::new(opened)))
    }

    /// Must not be cancelled: a late answer would be taken for that of the next round trip.
    pub(crate) async fn pass(&self) -> Result<(), RouterGone> {
        self.0.lock().await.probe().await.map_err(|_| RouterGone)
    }
}

/// Waits for the router to end, then says so to everybody who looks.
///
/// Pings all the while: when a link that was closed is next in the router's queue, rumqttd sleeps
/// until anything at all happens, whoever else is ready.
pub(crate) async fn watch_for_death(mut watched: Opened, died: watch::Sender<bool>) {
    let mut nudges = interval(NUDGE_INTERVAL);
    loop {
        let is_alive = tokio::select! {
            notification = watched.notifications.next() => notification.is_ok(),
            _ = nudges.tick() => watched.link.push(vec![Packet::PingReq(PingReq)]).is_ok(),
        };
        if !is_alive {
            // No receiver: nobody cares any more.
            let _ = died.send(true);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ha_types::{Qos, SessionId, TopicName};

    use super::*;
    use crate::config::HostConfig;
    use crate::router::envelope::{self, Enveloped, Tell};
    use crate::router::link::{LinkMaker, LinkPlan};

    /// Such a topic panics rumqttd 0.20 when anybody has a filter. The front never lets it in.
    fn deadly() -> Packet {
        envelope::publish(&Enveloped {
            topic: TopicName::parse(Bytes::from_static("é".as_bytes())).unwrap(),
            payload: Bytes::new(),
            properties: Bytes::new(),
            expires_in_s: None,
            qos: Qos::AtMostOnce,
            retain: false,
            publisher: SessionId(0),
        })
    }

    #[tokio::test]
    async fn death_of_the_router_is_noticed_by_probe_and_watch() {
        let links = LinkMaker::start(HostConfig::default().router()).unwrap();
        let mut prober = Prober::new(links.open("probe", LinkPlan::Ephemeral).await.unwrap());
        assert_eq!(prober.probe().await, Ok(()));
        let (death, mut died) = watch::channel(false);
        let watched = links.open("watch", LinkPlan::Ephemeral).await.unwrap();
        tokio::spawn(watch_for_death(watched, death));
        let killer = links.open("killer", LinkPlan::Ephemeral).await.unwrap();
        let everything = envelope::subscribe("#".to_owned(), Qos::AtMostOnce, 1, Tell::Nobody);
        killer.link.push(vec![everything, deadly()]).unwrap();
        died.wait_for(|died| *died).await.unwrap();
        assert_eq!(prober.probe().await, Err(ProbeError::Died));
    }
}
