//! Waits for the upgrade request and answers it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::upgrade::{Refusal, answer};
use super::{WebSocket, WebSocketConfig};
use crate::close::drain;

/// Longest request head. Cookies of a browser alone may have 4 KiB.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// What is read at once: most requests have less.
const READ_BYTES: usize = 1 << 10;

/// Why a connection did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// The client was told.
    #[error(transparent)]
    Refused(Refusal),
    #[error("the connection ended before the upgrade")]
    Io(#[from] io::Error),
}

/// Upgrades a fresh connection; a client that is refused gets an HTTP answer before this returns.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    config: &WebSocketConfig,
) -> Result<WebSocket<S>, UpgradeError> {
    let response = match read_head(&mut socket).await? {
        Ok(head) => answer(&head, &config.path),
        Err(refusal) => Err(refusal),
    };
    match response {
        Ok(response) => {
            socket.write_all(response.as_bytes()).await?;
            socket.flush().await?;
            Ok(WebSocket::new(socket, config.message_bytes_max))
        }
        Err(refusal) => {
            socket.write_all(refusal.response().as_bytes()).await?;
            socket.shutdown().await?;
            drain(&mut socket).await;
            Err(UpgradeError::Refused(refusal))
        }
    }
}

async fn read_head(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Vec<u8>, Refusal>> {
    let mut head = Vec::with_capacity(READ_BYTES);
    loop {
        let known = head.len();
        if known == HEAD_BYTES_MAX {
            return Ok(Err(Refusal::TooLarge));
        }
        let room = READ_BYTES.min(HEAD_BYTES_MAX - known) as u64;
        if (&mut *socket).take(room).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The end may have begun in the bytes that were there before.
        let searched = known.saturating_sub(3);
        let end = head[searched..].windows(4).position(|four| four == b"\r\n\r\n");
        match end.map(|at| searched + at + 4) {
            Some(end) if end == head.len() => return Ok(Ok(head)),
            // RFC 6455 §4.1: the client waits for the answer.
            Some(_) => return Ok(Err(Refusal::TooEarly)),
            None => (),
        }
    }
}
