//! How the wills of the clients of a broker that dies reach somebody elsewhere.

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time;

use crate::client::{self, Connected, Session, Will};
use crate::compose::{put_answer, put_stamp};
use crate::packet::{self, Packet, Protocol, STAMP_BYTES, Stamp};
use crate::report::Figure;
use crate::steady::{Strike, prepare, strike};
use crate::stream::send;

const TOPIC: &str = "bench/wills";

/// How long after the strike the last one may come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What comes again comes soon.
const SILENCE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the clients are.
    #[arg(long, value_name = "HOST:PORT")]
    clients_at: String,
    /// A broker that lives: who gets the wills is there.
    #[arg(long, value_name = "HOST:PORT")]
    subscribe: String,
    /// What is done, for the shell.
    #[arg(long, value_name = "COMMAND")]
    strike: String,
    /// What is done when all are connected and one second before the strike, for the shell.
    #[arg(long, value_name = "COMMAND")]
    prepare: Option<String>,
    /// Clients, each with a will of QoS 1.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
}

/// When each will came for the first time, and how often one came again.
#[derive(Debug)]
struct Came {
    first: Vec<Option<Instant>>,
    count: usize,
    again: u64,
}

/// Measures how many wills came and when.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    let watcher = format!("bench-wills-{}", std::process::id());
    let mut open = client::connect(&args.subscribe, &watcher, Session::Clean).await?;
    open.subscribe(TOPIC, 1).await?;
    let mut alive = Vec::new();
    for number in 0..args.clients {
        alive.push(with_will(&args.clients_at, &watcher, number).await?);
    }
    prepare(args.prepare).await?;
    let strike = strike(args.strike).await?;
    let mut came = Came::new(args.clients);
    let end = Instant::now() + WAIT_MAX;
    while came.take(&mut open, end).await? {}
    // They must not look as if they had ended by themselves.
    drop(alive);
    Ok(came.figures(strike))
}

/// Its will says which one it is.
async fn with_will(address: &str, watcher: &str, number: u16) -> io::Result<Connected> {
    let stamp = Stamp { publisher: 0, sequence: u64::from(number), meant_at_us: 0 };
    let mut payload = BytesMut::with_capacity(STAMP_BYTES);
    put_stamp(&mut payload, stamp);
    let will = Will { topic: TOPIC, payload: &payload };
    client::connect_with_will(address, &format!("{watcher}-{number}"), will).await
}

impl Came {
    fn new(clients: u16) -> Self {
        Self { first: vec![None; usize::from(clients)], count: 0, again: 0 }
    }

    fn is_complete(&self) -> bool {
        self.count == self.first.len()
    }

    /// Takes what comes. False: all have come and then nothing more, or time is up.
    async fn take(&mut self, open: &mut Connected, end: Instant) -> io::Result<bool> {
        let limit = if self.is_complete() { SILENCE } else { end - Instant::now() };
        let read = time::timeout(limit, client::read(&mut open.socket, &mut open.buffer));
        let Ok(read) = read.await else { return Ok(false) };
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (now, mut answers) = (Instant::now(), BytesMut::new());
        while let Some(packet) = packet::next(&mut open.buffer, Protocol::V311) {
            if let Packet::Publish { stamp, .. } = packet {
                self.note(stamp.sequence, now);
            }
            put_answer(&mut answers, packet);
        }
        send(&mut open.socket, &answers).await?;
        Ok(true)
    }

    fn note(&mut self, number: u64, now: Instant) {
        let place = usize::try_from(number).ok().and_then(|number| self.first.get_mut(number));
        match place {
            Some(first @ None) => {
                *first = Some(now);
                self.count += 1;
            }
            _ => self.again += 1,
        }
    }

    fn figures(&self, strike: Strike) -> Vec<Figure> {
        let since = |at: Option<&Instant>| at.map(|at| *at - strike.began);
        vec![
            Figure::count("came", self.count as u64),
            Figure::count("missing", (self.first.len() - self.count) as u64),
            Figure::count("again", self.again),
            Figure::millis("first", since(self.first.iter().flatten().min()), 1),
            Figure::millis("last", since(self.first.iter().flatten().max()), 1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wills_are_counted_once_and_what_comes_again_or_is_nobody_s_is_said() {
        let (mut came, now) = (Came::new(2), Instant::now());
        for number in [1, 1, 2] {
            came.note(number, now);
        }
        assert!(!came.is_complete());
        came.note(0, now);
        assert!(came.is_complete());
        assert_eq!((came.count, came.again), (2, 2));
    }
}
