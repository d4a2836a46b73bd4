//! What connections cost that are open and do nothing.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::{self, JoinSet};
use tokio::time;

use crate::client::{Connected, Session};
use crate::compose::DISCONNECT;
use crate::connector::{Connector, ConnectorArgs};
use crate::limits;
use crate::load::SECONDS_MAX;
use crate::processes::memory;
use crate::progress::Progress;
use crate::report::Figure;
use crate::run::float;
use crate::stream::{Stream, send};

/// From the end of the connections to the last look at memory.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where clients connect, in turn.
    #[arg(long = "broker", value_name = "HOST:PORT", required = true)]
    brokers: Vec<String>,
    /// Connections, with sessions that end with them. Each is an open file, here and at its broker,
    /// and has a port of its own: with one address on each side there are less than 65536.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Clients that connect at a time.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    at_a_time: u16,
    /// Seconds that they stay.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    seconds: u64,
    /// Processes whose memory is measured; not those that they start.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    #[command(flatten)]
    connector: ConnectorArgs,
}

/// What all clients see.
struct Shared {
    connector: Connector,
    brokers: Vec<String>,
    count: u32,
    next: AtomicU32,
    made: Progress,
}

/// Opens, keeps and closes them. Measures memory for each while they are open, and what is left of it.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    limits::make_room(args.count.into())?;
    let grown = |pid: u32, before: u64| float(memory(pid).resident) - float(before);
    let before: Vec<_> = args.pids.iter().map(|&pid| (pid, memory(pid).resident)).collect();
    let count = f64::from(args.count);
    let start = Instant::now();
    let mut open = connect_all(&args).await?;
    let seconds = start.elapsed().as_secs_f64();
    stay(Duration::from_secs(args.seconds)).await;
    let mut figures = vec![Figure::measure("made", count / seconds, 0, "connections/s")];
    for &(pid, before) in &before {
        let each = grown(pid, before) / count;
        figures.push(Figure::measure("memory", each, 0, "B per connection").of(pid));
    }
    figures.push(Figure::count("open", count_open(&mut open).await));
    close(open).await;
    time::sleep(SETTLE).await;
    for &(pid, before) in &before {
        figures.push(Figure::mebibytes("kept", grown(pid, before)).of(pid));
    }
    Ok(figures)
}

async fn stay(time: Duration) {
    let progress = Progress::of_time("open", time);
    progress.sleep(time).await;
    progress.end();
}

async fn connect_all(args: &Args) -> io::Result<Vec<Connected>> {
    let shared = Arc::new(Shared {
        connector: args.connector.connector()?,
        brokers: args.brokers.clone(),
        count: args.count,
        next: AtomicU32::new(0),
        made: Progress::of_count("made", args.count.into()),
    });
    let mut clients = JoinSet::new();
    for _ in 0..u32::from(args.at_a_time).min(args.count) {
        clients.spawn(connect_some(Arc::clone(&shared)));
    }
    let mut open = Vec::new();
    while let Some(some) = clients.join_next().await {
        open.extend(some.map_err(io::Error::other)??);
    }
    shared.made.end();
    Ok(open)
}

/// Connects one after the other, until all are there.
async fn connect_some(shared: Arc<Shared>) -> io::Result<Vec<Connected>> {
    let mut open = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.count {
            return Ok(open);
        }
        let broker = &shared.brokers[number as usize % shared.brokers.len()];
        let id = format!("bench-idle-{}-{number}", std::process::id());
        let connected = shared.connector.connect(broker, &id, Session::Clean).await;
        open.push(connected.map_err(|error| refused(&error, broker, number))?);
        shared.made.step();
    }
}

/// Says which one it was, and what can be done if the system is short of ports.
fn refused(error: &io::Error, broker: &str, number: u32) -> io::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrNotAvailable => ": no port is left here; give a broker more addresses",
        _ => "",
    };
    io::Error::new(error.kind(), format!("connection {}, to {broker}: {error}{hint}", number + 1))
}

async fn count_open(all: &mut [Connected]) -> u64 {
    let mut count = 0;
    for connected in all {
        // The runtime would take its turn in between, and all that come then would look open.
        count += u64::from(task::unconstrained(is_open(&mut connected.socket)).await);
    }
    count
}

/// Whether the broker did not close it, as far as is known here.
async fn is_open(socket: &mut Stream) -> bool {
    let mut bytes = [0; 64];
    poll_fn(|cx| {
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Ready(true),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(false),
                // What it said before it closed, perhaps.
                Poll::Ready(Ok(())) => (),
            }
        }
    })
    .await
}

async fn close(all: Vec<Connected>) {
    for mut connected in all {
        // Some may be closed already.
        drop(send(&mut connected.socket, &DISCONNECT).await);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Stream::Plain(near.unwrap()), far.unwrap().0)
    }

    async fn readable(socket: &Stream) {
        if let Stream::Plain(socket) = socket {
            socket.readable().await.unwrap();
        }
    }

    #[tokio::test]
    async fn connection_is_open_until_its_broker_closes_and_when_it_says_something() {
        let (mut near, mut far) = pair().await;
        assert!(is_open(&mut near).await);
        far.write_all(&[0xd0, 0]).await.unwrap();
        readable(&near).await;
        assert!(is_open(&mut near).await);
        drop(far);
        readable(&near).await;
        assert!(!is_open(&mut near).await);
    }

    #[test]
    fn refusal_says_which_connection_it_was() {
        let error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let text = refused(&error, "127.0.0.1:1883", 27_999).to_string();
        assert!(text.starts_with("connection 28000, to 127.0.0.1:1883: "), "{text}");
        assert!(text.ends_with("give a broker more addresses"), "{text}");
    }
}
