//! One HTTP request, as a load balancer's health check sends it.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

/// One that takes longer has no answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Status and body of `GET path` at a port of 127.0.0.1; `None` without an answer in time.
pub(crate) async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    time::timeout(TIMEOUT, ask(port, path)).await.ok()?.ok().flatten()
}

async fn ask(port: u16, path: &str) -> io::Result<Option<(u16, String)>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(status.zip(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())))
}
