//! The task of one client: waits for everything that can happen to its connection, and steps it.

mod alarm;
mod attend;
mod shared;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use broker_core::access::Access;
use broker_core::codec::frame;
use broker_core::engine::{Connection, Ending, Input, Limits, Moment, Notes, Output, Surroundings};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use crate::access_log::AccessLog;
use crate::admission::{Admission, Judging};
use crate::exchange::Exchange;
use crate::host::{Entry, Origin};
use crate::mailbox::{Letter, Mailbox};
use crate::perform::{Own, Performer};
use crate::seat::Seat;
use crate::socket::Socket;

pub(crate) use shared::serve;

/// Packets that are taken before others have their turn.
const FRAMES_AT_ONCE: usize = 256;

/// Bytes that wait to be written, from and to which publishers wait for this client.
const BEHIND_BYTES: (usize, usize) = (64 << 10, 512 << 10);

/// Deliveries that wait, from and to which publishers wait for this client.
const BEHIND_MESSAGES: (usize, usize) = (512, 4_096);

/// How long publishers wait for a client that is behind. One that catches up needs less; one that
/// does not read costs all publishers together this much, once.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

struct Task<S> {
    exchange: Arc<Exchange>,
    socket: Socket<S>,
    limits: Arc<Limits>,
    admission: Arc<dyn Admission>,
    access: Option<Arc<dyn Access>>,
    origin: Origin,
    connection: Connection,
    mailbox: Arc<Mailbox>,
    out: Output,
    letters: Vec<Letter>,
    own: Vec<Own>,
    performer: Performer,
    verdict: Option<Judging>,
    pause: Option<Pause>,
    /// Since when nothing could be written.
    stalled_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Packets were left for the next turn.
    more: bool,
    /// It had its turn, and waits for something to happen.
    waits: bool,
    /// While it waits: also for what its client sends.
    reads: bool,
    seat: Seat,
    is_counted: bool,
    /// Where it is wanted.
    log: Option<Box<AccessLog>>,
    /// The client goes, as soon as it is served.
    leaves: bool,
    /// Something was written: it is worth waiting until the client has it.
    has_spoken: bool,
}

/// A recipient that is behind, and until when it is waited for.
struct Pause {
    recipient: Arc<Mailbox>,
    until: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    fn new(exchange: Arc<Exchange>, stream: S, entry: Entry) -> Self {
        let Entry { id, random, origin, door, admission } = entry;
        let mailbox = Arc::new(Mailbox::new(id));
        exchange.enter(&mailbox);
        let seat = Seat::new(&exchange, &door, &mailbox);
        let at = exchange.clock.moment();
        let connection = Connection::new(id, at.now, &door.limits, random);
        let access = admission.access();
        let log = access_log(&exchange, &origin);
        let notes = if log.is_some() { Notes::wanted() } else { Notes::default() };
        Self {
            socket: Socket::new(stream),
            exchange,
            limits: Arc::clone(&door.limits),
            seat,
            admission,
            access,
            origin,
            connection,
            mailbox,
            out: Output { notes, ..Output::default() },
            log,
            letters: Vec::new(),
            own: Vec::new(),
            performer: Performer::default(),
            verdict: None,
            pause: None,
            stalled_since: None,
            alarm: None,
            more: false,
            waits: false,
            reads: false,
            is_counted: false,
            leaves: false,
            has_spoken: false,
        }
    }

    fn leave(&mut self) {
        self.exchange.leave(self.mailbox.id);
        self.mailbox.close();
        self.seat.leave();
        if self.is_counted {
            self.exchange.counters.disconnected();
        }
    }

    /// Ready at its end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.waits {
                self.turn();
                if self.connection.is_ended() && !self.performer.is_blocked() {
                    return Poll::Ready(());
                }
                self.set_alarm(self.exchange.clock.moment());
                self.waits = true;
            }
            ready!(self.poll_anything(context));
            self.waits = false;
        }
    }

    fn turn(&mut self) {
        let at = self.exchange.clock.moment();
        self.read_letters(at);
        self.take_frames(at);
        self.work(at);
        self.performer.reached.attend();
        self.count();
    }

    fn count(&mut self) {
        if let Some(log) = &mut self.log {
            log.add(&self.out.counts);
            log.write(self.out.notes.take());
        }
        self.exchange.counters.add(&mut self.out.counts);
        if !self.is_counted && self.connection.is_serving() {
            self.is_counted = true;
            self.exchange.counters.connected();
        }
    }

    fn step(&mut self, at: Moment, input: Input) {
        let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
        self.connection.step(at, &around, input, &mut self.out);
    }

    fn read_letters(&mut self, at: Moment) {
        let mut letters = std::mem::take(&mut self.letters);
        self.mailbox.take(&mut letters);
        for letter in letters.drain(..) {
            match letter {
                Letter::Deliver(delivery) => self.step(at, Input::Deliver(delivery)),
                Letter::Tell(tell) => {
                    self.performer.told(&tell, &mut self.own);
                    self.step(at, Input::Tell(tell));
                    self.do_own(at);
                }
                Letter::Leave => self.leaves = true,
                Letter::End(ending) => self.step(at, Input::End(ending)),
            }
        }
        self.letters = letters;
    }

    fn listens(&self, at: Moment) -> bool {
        let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
        !self.performer.is_blocked()
            && self.pause.is_none()
            && self.connection.wants_input(at, &around, &self.out)
    }

    fn take_frames(&mut self, at: Moment) {
        let bytes_max = usize::try_from(self.limits.packet_bytes_max).unwrap_or(usize::MAX);
        for _ in 0..FRAMES_AT_ONCE {
            if !self.listens(at) {
                return;
            }
            match frame::split(&mut self.socket.input, bytes_max) {
                Ok(Some(frame)) => {
                    if self.seat.is_half_open()
                        && let Err(reason) = self.seat.take()
                    {
                        self.connection.refuse_connect(reason);
                    }
                    self.step(at, Input::Frame(frame));
                }
                Ok(None) => return,
                Err(error) => self.step(at, Input::BadFrame(error)),
            }
            if !self.out.requests.is_empty() {
                self.perform(at);
            }
        }
        self.more = true;
    }

    /// Settles until nothing is left to do.
    fn work(&mut self, at: Moment) {
        loop {
            self.perform(at);
            if self.leaves {
                self.step(at, Input::Leave);
            }
            let around = Surroundings { limits: &self.limits, access: self.access.as_deref() };
            self.connection.settle(at, &around, &mut self.out);
            if self.out.requests.is_empty() {
                break;
            }
        }
        let (bytes, messages) = (self.out.bytes.len(), self.connection.waiting());
        if bytes > BEHIND_BYTES.1 || messages > BEHIND_MESSAGES.1 {
            self.mailbox.set_behind(true);
        } else if bytes < BEHIND_BYTES.0 && messages < BEHIND_MESSAGES.0 {
            self.mailbox.set_behind(false);
        }
    }

    fn perform(&mut self, at: Moment) {
        while !self.out.requests.is_empty() {
            let mut requests = std::mem::take(&mut self.out.requests);
            self.performer.perform(&self.exchange, &mut requests, &mut self.own);
            self.out.requests = requests;
            self.do_own(at);
        }
        if let Some(recipient) = self.performer.reached.take_behind()
            && self.pause.is_none()
            && !Arc::ptr_eq(&recipient, &self.mailbox)
        {
            self.pause = Some(Pause { recipient, until: Instant::now() + PAUSE });
        }
    }

    fn do_own(&mut self, at: Moment) {
        let mut own = std::mem::take(&mut self.own);
        for own in own.drain(..) {
            match own {
                Own::Tell(tell) => self.step(at, Input::Tell(tell)),
                // It has ended, or waits for a session that it will close at once.
                Own::Close => (),
                Own::Authenticate(credentials) => {
                    self.verdict = Some(self.admission.judge(&self.origin, *credentials));
                }
            }
        }
        self.own = own;
    }

    /// Ready when there is something to do.
    fn poll_anything(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let at = self.exchange.clock.moment();
        let mut happened = self.write(at, context);
        happened |= self.read(at, context);
        happened |= self.mailbox.poll_letters(context).is_ready();
        if let Some(verdict) = &mut self.verdict
            && let Poll::Ready(verdict) = verdict.as_mut().poll(context)
        {
            self.verdict = None;
            self.access = self.admission.access();
            self.step(at, Input::Verdict(verdict));
            happened = true;
        }
        if self.performer.is_blocked() {
            let polled = self.performer.poll(context, &self.exchange, &mut self.own);
            if polled.is_ready() {
                self.do_own(at);
                happened = true;
            }
        }
        if let Some(pause) = &self.pause
            && pause.recipient.poll_room(context).is_ready()
        {
            self.pause = None;
            happened = true;
        }
        if let Some(alarm) = &mut self.alarm
            && alarm.as_mut().poll(context).is_ready()
        {
            self.alarm = None;
            self.ring(at);
            happened = true;
        }
        if happened || std::mem::take(&mut self.more) {
            return Poll::Ready(());
        }
        self.rest();
        Poll::Pending
    }

    /// An idle client keeps no buffer.
    fn rest(&mut self) {
        if self.out.bytes.is_empty() {
            self.out.bytes = BytesMut::new();
        }
        self.out.requests = Vec::new();
        self.letters = Vec::new();
        self.own = Vec::new();
    }

    /// Whether something happened.
    fn write(&mut self, at: Moment, context: &mut Context<'_>) -> bool {
        match self.socket.poll_write(context, &mut self.out.bytes) {
            Poll::Ready(Ok(0)) => return false,
            Poll::Ready(Ok(written)) => {
                self.exchange.counters.bytes_sent.fetch_add(written as u64, Ordering::Relaxed);
                self.stalled_since = None;
                self.has_spoken = true;
            }
            Poll::Ready(Err(_)) => self.step(at, Input::End(Ending::Lost)),
            Poll::Pending => {
                self.stalled_since.get_or_insert_with(Instant::now);
                return false;
            }
        }
        true
    }

    /// Whether something happened.
    fn read(&mut self, at: Moment, context: &mut Context<'_>) -> bool {
        self.reads = self.listens(at);
        if !self.reads {
            return false;
        }
        match self.socket.poll_read(context) {
            Poll::Pending => return false,
            Poll::Ready(Ok(read @ 1..)) => {
                let read = read as u64;
                self.exchange.counters.bytes_received.fetch_add(read, Ordering::Relaxed);
            }
            Poll::Ready(Ok(0) | Err(_)) => self.step(at, Input::End(Ending::Lost)),
        }
        true
    }

    /// Writes the last words, and waits a little until the client has them.
    async fn farewell(&mut self) {
        let has_said_nothing = !self.has_spoken && self.out.bytes.is_empty();
        if self.socket.is_gone || has_said_nothing {
            return;
        }
        // A client that takes nothing has been told enough.
        let _ = tokio::time::timeout(FAREWELL, self.socket.finish(&mut self.out.bytes)).await;
    }
}

fn access_log(exchange: &Exchange, origin: &Origin) -> Option<Box<AccessLog>> {
    let broker = Arc::clone(exchange.config.access_log.as_ref()?);
    let listener = exchange.config.listeners.get(origin.listener).map_or("", |of| of.name);
    Some(Box::new(AccessLog::new(broker, listener, origin.peer)))
}
