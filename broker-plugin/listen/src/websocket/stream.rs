//! A stream of MQTT bytes over WebSocket frames: [`Deframer`] and [`Outbox`] round a socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deframe::{Deframer, Ending, Opcode};
use super::outbox::Outbox;

/// RFC 6455 §7.4.1: the purpose of the connection is fulfilled.
const NORMAL: u16 = 1000;

/// The server's end of a WebSocket connection, as a stream of bytes.
///
/// - Reading gives the payload of binary frames [MQTT-6.0.0-2]; it answers pings, and answers a
///   Close and then ends. A violation of the protocol sends Close with its code and is an error of
///   kind `InvalidData`.
/// - Writing collects up to 16 KiB for one frame. **Flush** to send it.
/// - Shutting down sends Close.
///
/// Without traffic it holds no buffer.
#[derive(Debug)]
pub struct WebSocket<S> {
    socket: S,
    deframer: Deframer,
    outbox: Outbox,
    close: CloseState,
    /// Who waits to write: answering a ping while reading must not make it miss its turn.
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseState {
    Open,
    /// Close is in the outbox, and nothing follows it.
    Sent,
}

impl<S> WebSocket<S> {
    /// `socket` has just sent the answer to the upgrade.
    pub(crate) fn new(socket: S, message_bytes_max: u64) -> Self {
        Self {
            socket,
            deframer: Deframer::new(message_bytes_max),
            outbox: Outbox::default(),
            close: CloseState::Open,
            writer: None,
        }
    }

    /// What is below the frames.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    fn send_close(&mut self, code: Option<u16>) {
        if self.close == CloseState::Open {
            let payload = code.map(u16::to_be_bytes);
            self.outbox.add_control(Opcode::Close, payload.as_ref().map_or(&[], |code| code));
            self.close = CloseState::Sent;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Writes all finished frames, then the answer to the last ping.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.outbox.finished().is_empty() {
                let socket = Pin::new(&mut self.socket);
                let written = ready!(socket.poll_write(cx, self.outbox.finished()))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.outbox.wrote(written);
            }
            match self.deframer.ping.take() {
                Some(ping) if self.close == CloseState::Open => {
                    self.outbox.add_control(Opcode::Pong, &ping);
                }
                _ => return Pin::new(&mut self.socket).poll_flush(cx),
            }
        }
    }

    /// Sends what reading has caused, without waiting: whoever writes next goes on with it.
    fn answer(&mut self, cx: &Context<'_>) {
        if self.deframer.ping.is_none() && self.outbox.finished().is_empty() {
            return;
        }
        let waker = match &self.writer {
            Some(writer) if !writer.will_wake(cx.waker()) => {
                Waker::from(Arc::new(Both(cx.waker().clone(), writer.clone())))
            }
            _ => cx.waker().clone(),
        };
        // An error of the socket comes back with the next read or write.
        let _ = self.poll_drain(&mut Context::from_waker(&waker));
    }

    /// What reading gives after the last payload.
    fn end(&mut self, ending: Ending, cx: &Context<'_>) -> io::Result<()> {
        match ending {
            Ending::Closed(code) => {
                self.send_close(code);
                self.answer(cx);
                Ok(())
            }
            Ending::Violated(violation) => {
                self.send_close(Some(violation.code()));
                self.answer(cx);
                Err(io::Error::new(io::ErrorKind::InvalidData, violation))
            }
        }
    }

    fn remember_writer<T>(&mut self, cx: &Context<'_>, poll: Poll<T>) -> Poll<T> {
        self.writer = poll.is_pending().then(|| cx.waker().clone());
        poll
    }

    /// Makes room for at least one byte of payload.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.close == CloseState::Sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.outbox.is_full() {
            self.outbox.finish();
        }
        if self.outbox.finished().is_empty() { Poll::Ready(Ok(())) } else { self.poll_drain(cx) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(ending) = self.deframer.ending {
                return Poll::Ready(self.end(ending, cx));
            }
            // An answer that the socket did not take at once.
            self.answer(cx);
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let payload = self.deframer.take(&mut buffer.filled_mut()[before..]);
            buffer.set_filled(before + payload);
            self.answer(cx);
            if payload > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = self.poll_room(cx);
        ready!(self.remember_writer(cx, room))?;
        let mut taken = 0;
        for slice in slices {
            let added = self.outbox.add(slice);
            taken += added;
            if added < slice.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.finish();
        let drained = self.poll_drain(cx);
        self.remember_writer(cx, drained)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_close(Some(NORMAL));
        let drained = self.poll_drain(cx);
        ready!(self.remember_writer(cx, drained))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Wakes the reader, who has an answer to send, and the writer, whose place that took.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

#[cfg(test)]
mod tests;
