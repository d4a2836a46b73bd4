//! How a client that was away gets what was queued for it, at another broker.

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time;

use crate::client::{self, Connected, Session};
use crate::compose::{Publish, padding, put_answer};
use crate::packet::{self, Found, Packet, Protocol, Stamp};
use crate::processes::{memory, reset_peak};
use crate::report::Figure;
use crate::run::float;
use crate::stream::send;

const TOPIC: &str = "bench/backlog";

/// Publishes that are not acknowledged.
const WINDOW: u64 = 512;

/// How long nothing may come before the rest counts as lost.
const SILENT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the messages are published, and where the client was before.
    #[arg(long, value_name = "HOST:PORT")]
    publish: String,
    /// Where the client comes back.
    #[arg(long, value_name = "HOST:PORT")]
    subscribe: String,
    /// Messages, of QoS 1.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Bytes of payload.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    size: u32,
    /// The process of the broker where the client comes back.
    #[arg(long)]
    pid: Option<u32>,
}

/// What the client got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Got {
    /// Of those that come in order, how many.
    next: u64,
    /// Below: a second time, or too late.
    again: u64,
    /// Above: something is missing before them.
    ahead: u64,
}

impl Got {
    fn take(&mut self, sequence: u64) {
        match sequence.cmp(&self.next) {
            std::cmp::Ordering::Equal => self.next += 1,
            std::cmp::Ordering::Less => self.again += 1,
            std::cmp::Ordering::Greater => {
                self.ahead += 1;
                self.next = sequence + 1;
            }
        }
    }
}

/// Measures how fast, how many, in which order, and what it cost the broker.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    let client_id = format!("bench-backlog-{}", std::process::id());
    let mut away = client::connect(&args.publish, &client_id, Session::Kept).await?;
    away.subscribe(TOPIC, 1).await?;
    away.leave().await?;
    let queueing = Instant::now();
    queue(&args).await?;
    let queued = per_second(args.messages, queueing.elapsed());
    if let Some(pid) = args.pid {
        reset_peak(pid);
    }
    let before = args.pid.map(memory).unwrap_or_default().resident;
    let start = Instant::now();
    let back = client::connect(&args.subscribe, &client_id, Session::Kept).await?;
    if back.found == Found::New {
        return Err(io::Error::other("the session was not found"));
    }
    let (got, last) = receive(back, args.messages).await?;
    let mut figures = vec![
        Figure::measure("queued", queued, 0, "msg/s"),
        Figure::measure("resumed", per_second(got.next, last - start), 0, "msg/s"),
        Figure::count("got", got.next),
        Figure::count("missing", got.ahead + (args.messages - got.next.min(args.messages))),
        Figure::count("again", got.again),
    ];
    if let Some(pid) = args.pid {
        let grown = memory(pid).peak.saturating_sub(before);
        figures.push(Figure::mebibytes("grown", float(grown)));
    }
    client::forget(&args.subscribe, &client_id).await?;
    Ok(figures)
}

fn per_second(count: u64, time: Duration) -> f64 {
    float(count) / time.as_secs_f64()
}

/// Publishes all and waits until all are acknowledged.
async fn queue(args: &Args) -> io::Result<()> {
    let id = format!("bench-queue-{}", std::process::id());
    let Connected { mut socket, mut buffer, .. } =
        client::connect(&args.publish, &id, Session::Clean).await?;
    let (padding, mut out) = (padding(args.size), BytesMut::new());
    let publish = Publish { protocol: Protocol::V311, qos: 1, padding: &padding };
    let (mut sent, mut acknowledged) = (0, 0);
    while acknowledged < args.messages {
        while sent < args.messages.min(acknowledged + WINDOW) {
            let stamp = Stamp { publisher: 0, sequence: sent, meant_at_us: 0 };
            publish.put(&mut out, TOPIC, stamp);
            sent += 1;
        }
        send(&mut socket, &out).await?;
        out.clear();
        if client::read(&mut socket, &mut buffer).await? == 0 {
            return Err(io::Error::other("the broker closed while messages were queued"));
        }
        while let Some(packet) = packet::next(&mut buffer, Protocol::V311) {
            acknowledged += u64::from(matches!(packet, Packet::Completed(_)));
        }
    }
    Ok(())
}

/// Takes and acknowledges until all have come or nothing comes; also when the last one came.
async fn receive(back: Connected, messages: u64) -> io::Result<(Got, Instant)> {
    let Connected { mut socket, mut buffer, .. } = back;
    let (mut got, mut last, mut answers) = (Got::default(), Instant::now(), BytesMut::new());
    loop {
        while let Some(packet) = packet::next(&mut buffer, Protocol::V311) {
            if let Packet::Publish { stamp, .. } = packet {
                got.take(stamp.sequence);
                last = Instant::now();
            }
            put_answer(&mut answers, packet);
        }
        send(&mut socket, &answers).await?;
        answers.clear();
        if got.next >= messages {
            return Ok((got, last));
        }
        match time::timeout(SILENT_MAX, client::read(&mut socket, &mut buffer)).await {
            Err(_) | Ok(Ok(0)) => return Ok((got, last)),
            Ok(read) => drop(read?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_comes_again_is_told_apart() {
        let mut got = Got::default();
        [0, 1, 1, 3, 2, 4].into_iter().for_each(|sequence| got.take(sequence));
        assert_eq!(got, Got { next: 5, again: 2, ahead: 1 });
    }
}
