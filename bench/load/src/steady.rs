//! A publisher at a steady pace, while something is done to a cluster.

use std::io;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::task::{self, JoinHandle};
use tokio::time::{self, MissedTickBehavior};

use crate::client::{self, Connected, Session};
use crate::compose::{Publish, padding};
use crate::packet::{self, Packet, Protocol, Stamp};
use crate::stream::{Reader, Writer, send};

/// Bytes of payload.
const SIZE: u32 = 256;

/// Packet identifiers must not come round.
const MESSAGES_MAX: usize = 65_000;

/// One publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) acknowledged: Option<Instant>,
}

/// When it was done: before the command began, and after it had ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

type Log = Arc<Mutex<Vec<Sent>>>;

/// Publishes at QoS 1: message number n is the n-th of its log.
#[derive(Debug)]
pub(crate) struct Publisher {
    log: Log,
    publishing: JoinHandle<io::Result<()>>,
    answers: JoinHandle<io::Result<()>>,
}

impl Publisher {
    pub(crate) async fn start(
        address: &str,
        topic: &'static str,
        every: Duration,
    ) -> io::Result<Self> {
        let id = format!("bench-steady-{}", std::process::id());
        let open = client::connect(address, &id, Session::Clean).await?;
        let Connected { socket, buffer, .. } = open;
        let (reader, writer) = socket.into_split();
        let log = Log::default();
        let publishing = tokio::spawn(publish(writer, topic, every, Arc::clone(&log)));
        let answers = tokio::spawn(take(reader, buffer, Arc::clone(&log)));
        Ok(Self { log, publishing, answers })
    }

    /// Whether its broker closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.answers.is_finished()
    }

    /// All that was published so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        lock(&self.log).clone()
    }

    /// Publishes no more; answers still come.
    pub(crate) fn pause(&self) {
        self.publishing.abort();
    }

    /// Ends, and returns all that was published.
    pub(crate) fn stop(self) -> Vec<Sent> {
        self.publishing.abort();
        self.answers.abort();
        self.sent()
    }
}

/// Between what is prepared and the strike.
const SETTLE: Duration = Duration::from_secs(1);

/// Does it, if there is something, in a shell; and waits until what it began in the background has begun.
pub(crate) async fn prepare(command: Option<String>) -> io::Result<()> {
    if let Some(command) = command {
        strike(command).await?;
        time::sleep(SETTLE).await;
    }
    Ok(())
}

/// Does it, in a shell.
pub(crate) async fn strike(command: String) -> io::Result<Strike> {
    task::spawn_blocking(move || strike_now(&command)).await.map_err(io::Error::other)?
}

fn strike_now(command: &str) -> io::Result<Strike> {
    let began = Instant::now();
    let status = Command::new("sh").arg("-c").arg(command).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command}: {status}")));
    }
    Ok(Strike { began, ended: Instant::now() })
}

async fn publish(
    mut socket: Writer,
    topic: &'static str,
    every: Duration,
    log: Log,
) -> io::Result<()> {
    let mut pace = time::interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (padding, mut out) = (padding(SIZE), BytesMut::new());
    let publish = Publish { protocol: Protocol::V311, qos: 1, padding: &padding };
    for sequence in 0..MESSAGES_MAX {
        pace.tick().await;
        let stamp = Stamp { publisher: 0, sequence: sequence as u64, meant_at_us: 0 };
        publish.put(&mut out, topic, stamp);
        lock(&log).push(Sent { at: Instant::now(), acknowledged: None });
        send(&mut socket, &out).await?;
        out.clear();
    }
    Ok(())
}

async fn take(mut socket: Reader, mut buffer: BytesMut, log: Log) -> io::Result<()> {
    while client::read(&mut socket, &mut buffer).await? > 0 {
        let now = Instant::now();
        let mut log = lock(&log);
        while let Some(packet) = packet::next(&mut buffer, Protocol::V311) {
            if let Packet::Completed(id) = packet
                && let Some(sent) = log.get_mut(usize::from(id) - 1)
            {
                sent.acknowledged = sent.acknowledged.or(Some(now));
            }
        }
    }
    Ok(())
}

/// Each change is complete when the lock is released, also by a panic.
fn lock(log: &Log) -> std::sync::MutexGuard<'_, Vec<Sent>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
