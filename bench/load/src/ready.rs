//! How soon a program that was just started serves.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

use crate::report::Figure;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its HTTP port.
    #[arg(value_name = "HOST:PORT")]
    http: String,
    /// Seconds after which to give up.
    #[arg(long, default_value_t = 60)]
    at_most: u64,
}

/// Measures when `/readyz` was 200 first.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    let start = Instant::now();
    let ready = async {
        while !is_ready(&args.http).await.unwrap_or_default() {
            time::sleep(LOOK).await;
        }
    };
    let not_ready = |_| io::Error::other(format!("{} is not ready", args.http));
    time::timeout(Duration::from_secs(args.at_most), ready).await.map_err(not_ready)?;
    Ok(vec![Figure::millis("ready", Some(start.elapsed()), 2)])
}

async fn is_ready(http: &str) -> io::Result<bool> {
    let mut socket = TcpStream::connect(http).await?;
    socket
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
