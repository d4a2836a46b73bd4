//! Closes a connection so that the peer reads what was written last.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// What is read and thrown away while the peer closes: 1 MiB.
const DRAINED_BYTES_MAX: usize = 1 << 20;

/// Flushes, says the end (TLS close_notify, WebSocket Close, TCP FIN), then waits until the peer
/// closes too: closing with unread input makes TCP throw away what the peer has not read, such as
/// a last DISCONNECT.
///
/// Takes at most `linger`, and reads at most 1 MiB. An error or the deadline changes nothing: the
/// connection is over.
pub async fn close(mut stream: impl AsyncRead + AsyncWrite + Unpin, linger: Duration) {
    let farewell = async {
        if stream.shutdown().await.is_ok() {
            drain(&mut stream).await;
        }
    };
    let _ = timeout(linger, farewell).await;
}

/// Reads until the peer closes or has sent too much.
pub(crate) async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    // On the heap: an array would make every task that may close a stream this much larger.
    let mut unread = vec![0; 4096];
    let mut drained = 0;
    while drained < DRAINED_BYTES_MAX {
        match stream.read(&mut unread).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => drained += bytes,
        }
    }
}
