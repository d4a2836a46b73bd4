//! Drives one client: connects wherever a broker answers, does what its [`Session`] says, and has
//! the habits of its plan.
//!
//! Recorded as the history demands: what is sent before it is written, what comes after it was read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_core::codec::{Disconnect, FromClient, FromServer};
use ha_types::Qos;
use history::{Present, Step, What};
use tokio::sync::watch;
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::board::{Board, Phase};
use crate::draining::Draining;
use crate::message::Message;
use crate::plan::{Leave, Plan};
use crate::random::Random;
use crate::session::{Action, Session};
use crate::wire::{Connection, Lost};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(20);

/// Between two PINGREQs.
const PING: Duration = Duration::from_secs(2);

/// A broker that says nothing for so long is taken for dead: two PINGREQs. A stopped one that goes
/// on finds that its clients are elsewhere.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Before a client connects again, in milliseconds.
const PAUSE_MS: (u64, u64) = (10, 150);

/// Where a client connects.
#[derive(Clone, Debug)]
pub enum Places {
    /// Anywhere, and elsewhere when a connection ends.
    Any(Vec<SocketAddr>),
    /// Always here.
    One(SocketAddr),
}

impl Places {
    /// That of the next connection.
    pub(crate) fn pick(&self, random: &mut Random) -> SocketAddr {
        match self {
            Self::Any(all) => random.pick(all),
            Self::One(address) => *address,
        }
    }
}

/// Why a connection was left.
#[derive(Debug)]
enum Left {
    /// It broke, or was refused.
    Lost,
    /// The broker may not have sent what came.
    Odd(String),
    /// To be away for a while.
    Away(Duration),
    /// The run is over.
    Over,
}

impl From<Lost> for Left {
    fn from(lost: Lost) -> Self {
        if lost.is_odd() { Self::Odd(lost.to_string()) } else { Self::Lost }
    }
}

/// One client and everything that it has beside its session.
#[derive(Debug)]
pub struct Client {
    id: Arc<str>,
    board: Arc<Board>,
    phase: watch::Receiver<Phase>,
    places: Places,
    random: Random,
    session: Session,
    draining: Draining,
    /// Messages per second, if it publishes.
    rate: u32,
    next_number: u32,
    publishing_since: Option<Instant>,
    /// When and at which place of the board's clock each unacknowledged message was sent first.
    sent: BTreeMap<u32, ((u64, std::time::Instant), Message)>,
}

impl Client {
    /// One that has not connected yet. `rate` counts messages per second.
    #[must_use]
    pub fn new(plan: Plan, board: Arc<Board>, places: Places, rate: u32, random: Random) -> Self {
        Self {
            id: plan.id.as_str().into(),
            phase: board.phase(),
            places,
            random,
            draining: Draining::new(&plan),
            session: Session::new(plan),
            board,
            rate,
            next_number: 0,
            publishing_since: None,
            sent: BTreeMap::new(),
        }
    }

    /// Runs until the phase is [`Phase::End`].
    pub async fn run(mut self) {
        while *self.phase.borrow() != Phase::End {
            let (connect, connecting) = self.session.connecting();
            self.record(connecting);
            let address = self.places.pick(&mut self.random);
            let left = match Connection::open(address, connect.version).await {
                Ok(mut open) => match open.accepted(&connect).await {
                    Ok(connack) => self.serve(open, connack.session_present).await,
                    Err(lost) => Left::from(lost),
                },
                Err(lost) => Left::from(lost),
            };
            self.record(What::Closed);
            self.session.closed();
            self.board.stands(&self.id, |standing| standing.is_subscribed = false);
            self.rest(left).await;
        }
    }

    async fn rest(&mut self, left: Left) {
        let mut pause = Duration::from_millis(self.random.between(PAUSE_MS.0, PAUSE_MS.1));
        match left {
            Left::Lost => (),
            Left::Odd(what) => self.board.odd(&self.id, self.session.connection(), &what),
            Left::Away(away) => pause = away,
            Left::Over => return,
        }
        let away = time::sleep(pause);
        tokio::pin!(away);
        loop {
            tokio::select! {
                () = &mut away => return,
                // Nobody stays away when it is time to come back.
                Ok(()) = self.phase.changed() => {
                    if *self.phase.borrow() >= Phase::Settle { return; }
                }
            }
        }
    }

    async fn serve(&mut self, mut open: Connection, is_present: bool) -> Left {
        match self.talk(&mut open, is_present).await {
            Ok(never) => match never {},
            Err(left) => left,
        }
    }

    async fn talk(
        &mut self,
        open: &mut Connection,
        is_present: bool,
    ) -> Result<std::convert::Infallible, Left> {
        let session = if is_present { Present::Present } else { Present::New };
        if session == Present::New {
            self.sent.clear();
            self.draining.forget();
        }
        let actions = self.session.connected(session);
        self.perform(open, actions).await?;
        let mut since = Times::new(Instant::now());
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                packet = open.receive() => {
                    since.heard = Instant::now();
                    self.receive(open, packet?).await?;
                }
                _ = tick.tick() => self.look(open, &mut since).await?,
            }
        }
    }

    async fn receive(&mut self, open: &mut Connection, packet: FromServer) -> Result<(), Left> {
        if let FromServer::Disconnect(disconnect) = packet {
            return Err(Lost::Disconnected(disconnect.reason).into());
        }
        let actions = self.session.received(packet);
        let actions = actions.map_err(|odd| Left::Odd(odd.to_string()))?;
        self.perform(open, actions).await?;
        self.draining.subscribed(&self.session, &self.board);
        Ok(())
    }

    async fn perform(&mut self, open: &mut Connection, actions: Vec<Action>) -> Result<(), Left> {
        for action in actions {
            match action {
                Action::Record(what) => {
                    self.note(&what);
                    self.record(what);
                }
                Action::Send(packet) => open.send(&packet).await?,
                Action::Pause => time::sleep(self.session.plan().habits.pause).await,
            }
        }
        Ok(())
    }

    /// Keeps the board's books. What was acknowledged is owed only after it was recorded so; that
    /// nobody drains before all is settled makes the order of the two harmless.
    fn note(&mut self, what: &What<String>) {
        match what {
            What::Acknowledged { number, step: Step::Puback | Step::Pubrec } => {
                if let Some((sent, message)) = self.sent.remove(number) {
                    self.board.acknowledged(&self.id, sent, &message);
                }
            }
            What::Delivered { publisher, number, .. } => self.draining.got(publisher, *number),
            _ => (),
        }
    }

    fn record(&self, what: What<String>) {
        self.board.record(&self.id, self.session.connection(), what);
    }

    /// Does what is due.
    async fn look(&mut self, open: &mut Connection, since: &mut Times) -> Result<(), Left> {
        let now = Instant::now();
        let phase = *self.phase.borrow();
        if now - since.heard > SILENCE_MAX {
            return Err(Lost::Silent.into());
        }
        if now - since.pinged > PING {
            since.pinged = now;
            open.send(&FromClient::Pingreq).await?;
        }
        self.subscribe(open, since, now).await?;
        match phase {
            Phase::Subscribe => (),
            Phase::Publish => {
                self.publish(open, now).await?;
                self.leave(open, since, now).await?;
            }
            Phase::Settle => (),
            Phase::Drain => self.drain(),
            Phase::End => {
                self.say_goodbye(open).await?;
                return Err(Left::Over);
            }
        }
        self.stand();
        Ok(())
    }

    fn stand(&self) {
        let session = &self.session;
        self.board.stands(&self.id, |standing| {
            standing.is_subscribed = session.is_subscribed();
            standing.unanswered = session.unanswered();
            standing.missing = self.draining.missing();
            standing.connections = session.connection();
        });
    }

    async fn subscribe(
        &mut self,
        open: &mut Connection,
        since: &mut Times,
        now: Instant,
    ) -> Result<(), Left> {
        let again = self.session.plan().habits.subscribes_again;
        let actions = match again {
            Some(again)
                if now - since.subscribed > again && *self.phase.borrow() < Phase::Drain =>
            {
                since.subscribed = now;
                self.session.subscribe_again()
            }
            _ if now - since.subscribed > PING && !self.session.is_subscribed() => {
                since.subscribed = now;
                self.session.subscribe_missing()
            }
            _ => return Ok(()),
        };
        self.perform(open, actions).await
    }

    /// As many messages as the rate has due and the window has room for.
    async fn publish(&mut self, open: &mut Connection, now: Instant) -> Result<(), Left> {
        let Some(kinds) = self.session.plan().publishes else { return Ok(()) };
        let since = *self.publishing_since.get_or_insert(now);
        let due = (now - since).as_millis() * u128::from(self.rate) / 1_000;
        while u128::from(self.next_number) < due && self.session.has_room() {
            let message = Message::draw(&mut self.random, self.next_number, kinds);
            self.next_number += 1;
            if message.qos > Qos::AtMostOnce {
                let at = (self.board.publishes(), std::time::Instant::now());
                self.sent.insert(message.number, (at, message.clone()));
            }
            let actions = self.session.publish(message);
            self.perform(open, actions).await?;
        }
        Ok(())
    }

    /// Half of the times without a word, as one that loses its network.
    async fn leave(
        &mut self,
        open: &mut Connection,
        since: &Times,
        now: Instant,
    ) -> Result<(), Left> {
        let Some(Leave { after, away }) = self.session.plan().habits.leaves else { return Ok(()) };
        if now - since.connected < after {
            return Ok(());
        }
        if self.random.once_in(2) {
            self.say_goodbye(open).await?;
        }
        Err(Left::Away(away))
    }

    async fn say_goodbye(&mut self, open: &mut Connection) -> Result<(), Left> {
        self.record(What::Closing { expires_s: None });
        Ok(open.send(&FromClient::Disconnect(Disconnect::default())).await?)
    }

    fn drain(&mut self) {
        if self.draining.is_done(&self.session, &self.board) {
            self.record(What::Drained);
            self.board.stands(&self.id, |standing| standing.is_drained = true);
        }
    }
}

/// When things happened on a connection.
#[derive(Clone, Copy, Debug)]
struct Times {
    connected: Instant,
    heard: Instant,
    pinged: Instant,
    subscribed: Instant,
}

impl Times {
    fn new(now: Instant) -> Self {
        Self { connected: now, heard: now, pinged: now, subscribed: now }
    }
}
