//! The PROXY protocol, versions 1 and 2: what a load balancer says about the client behind it.
//!
//! `header.rs` decides, this file reads. Not here: who may send a header (`accept.rs`).

mod header;
mod tlv;

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

pub(crate) use header::{Proxied, ProxyError};
use header::{SIGNATURE, V1_BYTES_MAX, V1_START};

/// Reads exactly the header, and not one byte of what follows.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Proxied, ReadError> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let head = header::v2_head(fixed)?;
        let mut rest = vec![0; head.rest_bytes];
        stream.read_exact(&mut rest).await?;
        Ok(header::v2_rest(head, &rest)?)
    } else if start.starts_with(V1_START) {
        Ok(header::v1(&read_line(stream, &start).await?)?)
    } else {
        Err(ProxyError::Missing.into())
    }
}

/// Looks before it takes, since a byte behind the line belongs to the next layer.
async fn read_line(stream: &mut TcpStream, start: &[u8]) -> Result<Vec<u8>, ReadError> {
    let mut line = start.to_vec();
    while line.last() != Some(&b'\n') {
        let mut ahead = [0; V1_BYTES_MAX];
        let ahead = &mut ahead[..V1_BYTES_MAX - line.len()];
        if ahead.is_empty() {
            return Err(ProxyError::Malformed.into());
        }
        let seen = stream.peek(ahead).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = ahead[..seen].iter().position(|&byte| byte == b'\n');
        let taken = &mut ahead[..end.map_or(seen, |at| at + 1)];
        stream.read_exact(taken).await?;
        line.extend_from_slice(taken);
    }
    Ok(line)
}

/// Why no header could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Header(#[from] ProxyError),
    #[error("the connection ended inside of the PROXY header")]
    Io(#[from] io::Error),
}
