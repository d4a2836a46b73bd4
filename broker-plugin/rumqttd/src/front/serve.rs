//! The task of one connection: waits for everything that can happen to it, and ends it properly.

use std::sync::Arc;
use std::time::Duration;

use broker_core::codec::{Disconnect, FromServer, Reason, Remarks};
use rumqttd::local::LinkRx;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::connection::{Beginning, Connection, Pause};
use super::ending::{End, outcome};
use super::handshake::{Connected, shake};
use super::socket::{Listening, Moved, Socket};
use super::subscriptions::Remembered;
use crate::admission::Origin;
use crate::effects::Job;
use crate::registry::{Release, Session};
use crate::router::envelope::{self, FromRouter};
use crate::router::injector::Answer;
use crate::router::link::{LinkPlan, SharedLink, poll_once};
use crate::shared::{Ending, Shared};

/// A day: when nothing is due, it does not matter when we look.
const IDLE: Duration = Duration::from_secs(86_400);

/// What MQTT needs of a stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Serves one connection until its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: impl Stream, origin: Origin) {
    let mut socket = Socket::new(stream);
    if let Ok(connected) = shake(&shared, &mut socket, origin).await {
        serve_connected(shared, &mut socket, connected).await;
    }
    socket.linger().await;
}

async fn serve_connected(
    shared: Arc<Shared>,
    socket: &mut Socket<impl Stream>,
    connected: Connected,
) {
    let Connected { connect, client_id, identity, generation, session, plan, opened, kicked } =
        connected;
    let (recipient, will) = (connect.recipient(), connect.will.map(Box::new));
    let Session { id, slot, subscriptions, received } = session;
    let beginning = Beginning {
        recipient,
        identity,
        receive_maximum: connect.receive_maximum,
        session: id,
        subscriptions,
        received,
        remembered: match plan {
            LinkPlan::Ephemeral => Remembered::Connection,
            LinkPlan::NewDurable | LinkPlan::Resume => Remembered::Beyond,
        },
        link: opened.link,
    };
    let connection = Connection::new(Arc::clone(&shared), beginning);
    let mut task = Task {
        connection,
        notifications: opened.notifications,
        kicked,
        keep_alive: keep_alive(connect.keep_alive_s),
        heard_at: Instant::now(),
        woke: false,
    };
    let end = task.run(socket).await;
    let Task { mut connection, kicked, woke, .. } = task;
    connection.forget_subscribing();
    close(&shared, &connection.link, woke).await;
    let ending = outcome(end, connect.session_expiry_s, will);
    let (subscriptions, received) = connection.into_memory();
    let session = Session { id, slot, subscriptions, received };
    let session_expiry_s = ending.session_expiry_s;
    let release = Release { client_id, generation, session, session_expiry_s, will: ending.will };
    let effects = shared.registry().release(shared.now(), release);
    shared.deadline_changed.notify_one();
    // A newer connection of this client id may go on from here.
    drop(kicked);
    for effect in effects {
        // The task that performs them ends after the last connection.
        let _ = shared.jobs.send(Job::Effect(effect)).await;
    }
    if let Some((reason, why)) = ending.farewell {
        let disconnect = Disconnect::because(reason, Remarks::because(why));
        // A client that takes no packet of this size is disconnected all the same.
        let _ = FromServer::Disconnect(disconnect).encode(&recipient, &mut socket.to_client.bytes);
    }
}

/// Closes a link after the router has seen its last wake-up, which would panic it afterwards.
async fn close(shared: &Shared, link: &SharedLink, woke: bool) {
    if woke && shared.closing.pass().await.is_err() {
        return link.abandon();
    }
    link.close();
}

/// One and a half times the Keep Alive [MQTT-3.1.2-22]; `None`: not enforced.
fn keep_alive(seconds: u16) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1_500))
}

struct Task {
    connection: Connection,
    notifications: LinkRx,
    kicked: watch::Receiver<Option<Ending>>,
    keep_alive: Option<Duration>,
    /// When the client was last heard of, or we did not listen.
    heard_at: Instant,
    /// Whether the link was ever woken.
    woke: bool,
}

enum Happened {
    Kicked,
    Moved(Moved),
    Notified(FromRouter),
    RouterGone,
    Published,
    Told,
    Answered(Option<Answer>),
    PluginGone,
    Due,
}

impl Task {
    async fn run(&mut self, socket: &mut Socket<impl Stream>) -> End {
        let restored = match self.connection.remembered {
            Remembered::Beyond => self.connection.restore().map_err(End::from),
            Remembered::Connection => Ok(()),
        };
        let mut outcome = restored;
        loop {
            outcome = outcome.and_then(|()| self.take_frames(socket));
            if let Err(end) = outcome {
                return end;
            }
            let happened = self.wait(socket).await;
            self.connection.refresh_access();
            outcome = self.react(happened, socket).await;
        }
    }

    /// Takes the packets that have arrived, until something must be waited for.
    fn take_frames(&mut self, socket: &mut Socket<impl Stream>) -> Result<(), End> {
        let bytes_max = self.connection.shared.config.packet_bytes_max;
        while self.is_listening(socket) {
            let Some(frame) = socket.next_frame(bytes_max)? else { return Ok(()) };
            self.heard_at = Instant::now();
            self.connection.take_frame(frame, &mut socket.to_client.bytes)?;
            self.publish_if_room(socket)?;
        }
        Ok(())
    }

    /// The usual case without a turn of the loop: the plugin has room.
    fn publish_if_room(&mut self, socket: &mut Socket<impl Stream>) -> Result<(), End> {
        let Some(Pause::Publishing(_)) = self.connection.pause else { return Ok(()) };
        let shared = Arc::clone(&self.connection.shared);
        let Ok(permit) = shared.publishes.try_reserve() else { return Ok(()) };
        if let Some(Pause::Publishing(publishing)) = self.connection.pause.take() {
            permit.send(publishing.message.clone());
            self.connection.published(*publishing, &mut socket.to_client.bytes)?;
        }
        Ok(())
    }

    fn is_listening(&self, socket: &Socket<impl Stream>) -> bool {
        self.connection.pause.is_none() && !socket.to_client.is_high()
    }

    async fn wait(&mut self, socket: &mut Socket<impl Stream>) -> Happened {
        let due = self.due(socket);
        let listening = match self.is_listening(socket) {
            true => Listening::Yes,
            false => Listening::No,
        };
        let shared = &*self.connection.shared;
        let pause = &mut self.connection.pause;
        let takes_more = !socket.to_client.is_high() && !self.connection.router_confirmed;
        tokio::select! {
            _ = self.kicked.changed() => Happened::Kicked,
            moved = socket.turn(listening) => Happened::Moved(moved),
            notified = self.notifications.next(), if takes_more => match notified {
                Ok(Some(notification)) => Happened::Notified(envelope::open(notification)),
                Ok(None) => Happened::Notified(FromRouter::Nothing),
                Err(_) => Happened::RouterGone,
            },
            happened = pause_ends(shared, pause) => happened,
            () = sleep_until(due) => Happened::Due,
        }
    }

    async fn react(
        &mut self,
        happened: Happened,
        socket: &mut Socket<impl Stream>,
    ) -> Result<(), End> {
        let out = &mut socket.to_client.bytes;
        match happened {
            Happened::Kicked => Err(self.kicked_end()),
            Happened::Moved(Moved::Read(Ok(1..)) | Moved::Wrote(Ok(()))) => Ok(()),
            Happened::Moved(Moved::Read(_) | Moved::Wrote(Err(_))) => Err(End::Closed),
            Happened::Notified(first) => self.take_notifications(first, socket).await,
            Happened::RouterGone => Err(End::RouterGone),
            Happened::Published => match self.connection.pause.take() {
                Some(Pause::Publishing(publishing)) => self.connection.published(*publishing, out),
                pause => {
                    self.connection.pause = pause;
                    Ok(())
                }
            },
            Happened::Told => {
                self.connection.pause = self.connection.subscribing.take().map(Pause::Subscribing);
                Ok(())
            }
            Happened::Answered(answer) => match self.connection.pause.take() {
                Some(Pause::Subscribing(asked)) => match answer {
                    Some(answer) => self.connection.answered(asked, answer, out),
                    None => self.connection.give_up_waiting(asked, out),
                },
                pause => {
                    self.connection.pause = pause;
                    Ok(())
                }
            },
            Happened::PluginGone => Err(End::Refused(
                Reason::SERVER_SHUTTING_DOWN,
                "the plugin of this broker is gone".to_owned(),
            )),
            Happened::Due => self.check_deadlines(socket),
        }
    }

    /// Takes what the router has for us, as far as there is room for it.
    async fn take_notifications(
        &mut self,
        first: FromRouter,
        socket: &mut Socket<impl Stream>,
    ) -> Result<(), End> {
        let mut next = Some(first);
        while let Some(notification) = next {
            let out = &mut socket.to_client.bytes;
            match notification {
                FromRouter::Forward(message) => self.connection.take_forward(message, out)?,
                FromRouter::Pubrel(id) => self.connection.take_router_pubrel(id, out)?,
                // The link is ours until we close it: nobody wakes a link that is gone.
                FromRouter::Unschedule => {
                    self.woke = true;
                    self.notifications.wake().await.map_err(|_| End::RouterGone)?;
                }
                FromRouter::Suback => self.connection.router_confirmed(out)?,
                FromRouter::Closed => return Err(End::RouterGone),
                FromRouter::Nothing | FromRouter::Pingresp => (),
            }
            if socket.to_client.is_high() || self.connection.router_confirmed {
                return Ok(());
            }
            next = match poll_once(self.notifications.next()) {
                Some(Ok(Some(notification))) => Some(envelope::open(notification)),
                Some(Ok(None)) => Some(FromRouter::Nothing),
                Some(Err(_)) => return Err(End::RouterGone),
                None => None,
            };
        }
        Ok(())
    }

    fn kicked_end(&self) -> End {
        match *self.kicked.borrow() {
            Some(Ending::ShuttingDown) => {
                End::Refused(Reason::SERVER_SHUTTING_DOWN, "the broker stops".to_owned())
            }
            Some(Ending::TakenOver) | None => {
                let why = "the client id connected again";
                End::Refused(Reason::SESSION_TAKEN_OVER, why.to_owned())
            }
        }
    }

    /// When to look whether the client is too slow.
    fn due(&mut self, socket: &mut Socket<impl Stream>) -> Instant {
        let now = Instant::now();
        if !socket.to_client.is_pending() {
            socket.to_client.progress_at = now;
        }
        if !self.is_listening(socket) {
            // Keep alive is not enforced while we are not listening.
            self.heard_at = now;
        }
        let silent = self.keep_alive.map(|keep_alive| self.heard_at + keep_alive);
        let stalled = socket.to_client.progress_at + self.connection.shared.config.write_timeout;
        let stalled = socket.to_client.is_pending().then_some(stalled);
        silent.into_iter().chain(stalled).min().unwrap_or(now + IDLE)
    }

    fn check_deadlines(&mut self, socket: &mut Socket<impl Stream>) -> Result<(), End> {
        let now = Instant::now();
        let is_silent = self.keep_alive.is_some_and(|keep_alive| self.heard_at + keep_alive <= now);
        if is_silent && self.is_listening(socket) {
            let why = "no packet for one and a half times the keep alive";
            return Err(End::Refused(Reason::KEEP_ALIVE_TIMEOUT, why.to_owned()));
        }
        let write_timeout = self.connection.shared.config.write_timeout;
        let is_stalled = socket.to_client.progress_at + write_timeout <= now;
        if socket.to_client.is_pending() && is_stalled {
            socket.to_client.give_up();
            return Err(End::Closed);
        }
        Ok(())
    }
}

/// Waits until the connection may take packets again; for ever when it may already.
///
/// What waits for the plugin is sent here, with the permit that it waited for: giving that back
/// would hand it to the next in line, who would do the same. There is no wait after the sending,
/// so being cancelled loses nothing and repeats nothing.
async fn pause_ends(shared: &Shared, pause: &mut Option<Pause>) -> Happened {
    match pause {
        None => std::future::pending().await,
        Some(Pause::Publishing(publishing)) => match shared.publishes.reserve().await {
            Ok(permit) => {
                permit.send(publishing.message.clone());
                Happened::Published
            }
            Err(_) => Happened::PluginGone,
        },
        Some(Pause::Telling(event)) => match shared.events.reserve().await {
            Ok(permit) => {
                permit.send(event.clone());
                Happened::Told
            }
            Err(_) => Happened::PluginGone,
        },
        Some(Pause::Subscribing(asked)) => tokio::select! {
            answer = &mut asked.answer => Happened::Answered(answer.ok()),
            () = sleep_until(asked.give_up_at) => Happened::Answered(None),
        },
        // Ends with a notification of the router.
        Some(Pause::Confirming(..)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_of_zero_is_not_enforced() {
        assert_eq!(keep_alive(0), None);
        assert_eq!(keep_alive(2), Some(Duration::from_secs(3)));
    }
}
