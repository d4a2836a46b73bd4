//! Plays a script: what clients do goes to the broker, what it sends goes to their ledgers.

use std::collections::BTreeSet;
use std::fmt::Debug;

use broker_core::codec::Flow;
use broker_core::codec::{
    Ack, Connect, FromClient, PacketId, Publish, Reason, Recipient, Topic, TopicAlias, Version,
};
use broker_core::engine::Ending;
use bytes::{Bytes, BytesMut};
use ha_types::Qos;

use crate::ledger::{Awaits, Known, Ledger, joins_group};
use crate::script::{
    self, BURST_MAX, CLIENT_IDS, EXPIRY_MAX_S, Message, Naming, RATE_MAX, Reader, STEPS_MAX, Setup,
    Step,
};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{name, text};

/// Rounds of answers after which a broker that still has something to say never stops: so many for
/// what is not a message of the script, and for each of its messages two exchanges of two answers.
const ROUNDS_MAX: usize = 3_000;
const ROUNDS_PER_MESSAGE: usize = 4;

/// Seconds until the broker has taken all that a script may have published.
const PAUSES_MAX: usize = 2 * STEPS_MAX * BURST_MAX as usize / RATE_MAX as usize;

/// Answers and a page of messages: what one packet may cause beyond the limit of a buffer.
const BURST_BYTES: usize = 16 << 10;

/// Plays the script that these bytes are. Each step is shown before it is played.
pub(crate) fn play(bytes: &[u8], show: impl Fn(&dyn Debug)) {
    let mut reader = Reader::new(bytes);
    let setup = script::setup(&mut reader);
    show(&setup);
    let mut play = Play::new(setup);
    for _ in 0..STEPS_MAX {
        let Some(step) = script::step(&mut reader) else { break };
        show(&step);
        play.take(step);
    }
    play.finish();
}

struct Play {
    broker: Broker,
    seats: Vec<Option<Seat>>,
    /// What becomes of the next packet of a seat: a place, and what is there instead.
    spoiled: Vec<Option<(u8, u8)>>,
    /// Client identifiers that were in a share group at some time.
    members: BTreeSet<String>,
    /// Some payloads may be anything.
    is_tainted: bool,
    /// Of the last message.
    number: usize,
    sockets: usize,
}

/// A socket.
struct Seat {
    client: Client,
    ledger: Ledger,
    reads: bool,
    /// As publisher.
    number: usize,
}

impl Play {
    fn new(setup: Setup) -> Self {
        let Setup { limits, holder, filters_max, retained_max } = setup;
        let mut broker = Broker::small(limits, holder, filters_max, retained_max);
        broker.judge = Some(Box::new(script::judge));
        Self {
            broker,
            seats: (0..4).map(|_| None).collect(),
            spoiled: vec![None; 4],
            members: BTreeSet::new(),
            is_tainted: false,
            number: 0,
            sockets: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect(who, connect) => self.connect(who, &connect),
            Step::Publish(who, message) => self.publish(who, message),
            Step::Burst(who, count, message) => self.burst(who, count, &message),
            Step::Send(who, packet) => self.send(who, &packet),
            Step::Answer(who, at, reason) => self.answer(who, at, reason),
            Step::AnswerAll(who) => {
                self.answer_all(who);
            }
            Step::Raw(who, bytes) => {
                self.is_tainted = true;
                self.send_bytes(who, bytes);
            }
            Step::Spoil(who, at, value) => self.spoiled[who] = Some((at, value)),
            Step::DropSocket(who) => self.leave(who),
            Step::Read(who, reads) => self.read(who, reads),
            Step::End(who, ending) => {
                if let Some(seat) = &self.seats[who] {
                    self.broker.end(seat.client, ending);
                }
            }
            Step::ShutDown => {
                for seat in self.seats.iter().flatten() {
                    self.broker.end(seat.client, Ending::ShuttingDown);
                }
            }
            Step::Leave(who) => {
                if let Some(seat) = &self.seats[who] {
                    self.broker.leave(seat.client);
                }
            }
            Step::Refuse(refusal) => self.broker.refusal = refusal,
            Step::Pass(ms) => self.broker.pass(ms),
        }
        self.look();
    }

    fn connect(&mut self, who: usize, connect: &Connect) {
        self.leave(who);
        let mut bytes = BytesMut::new();
        connect.encode(&mut bytes).expect("it is small");
        let bytes = self.spoil(who, bytes.to_vec());
        let bytes_max = self.broker.limits.packet_bytes_max;
        let version = Ledger::version_of(&bytes, bytes_max).unwrap_or(connect.version);
        let client = self.broker.socket(version);
        let ledger = Ledger::new(version, self.broker.limits.inflight_max, bytes_max);
        self.sockets += 1;
        self.seats[who] = Some(Seat { client, ledger, reads: true, number: self.sockets });
        self.send_bytes(who, bytes);
    }

    /// Without a word.
    fn leave(&mut self, who: usize) {
        if let Some(seat) = &self.seats[who] {
            self.broker.drop_socket(seat.client);
        }
        self.look();
        self.seats[who] = None;
    }

    fn read(&mut self, who: usize, reads: bool) {
        let Some(seat) = &mut self.seats[who] else { return };
        seat.reads = reads;
        self.broker.set_reading(seat.client, reads);
        // What waits is written with the next step.
        self.broker.pass(0);
    }

    fn publish(&mut self, who: usize, message: Message) {
        let Some(seat) = &self.seats[who] else { return };
        let alias = |alias| TopicAlias::new(alias).expect("not zero");
        let id = PacketId::new(message.id).expect("not zero");
        let own = |alias| seat.ledger.own_alias(alias).map_or(message.topic, |name| name.as_str());
        let (topic, meant) = match message.naming {
            Naming::Name => (Topic::Name(name(message.topic)), message.topic),
            Naming::Both(number) => {
                (Topic::Both(name(message.topic), alias(number)), message.topic)
            }
            Naming::Alias(number) => (Topic::Alias(alias(number)), own(number)),
        };
        self.number += 1;
        let padding = "x".repeat(message.padding);
        let payload = format!("{meant}|{}|{}|{padding}", seat.number, self.number);
        let publish = Publish {
            flow: match message.qos {
                Qos::AtMostOnce => Flow::AtMostOnce,
                Qos::AtLeastOnce => Flow::AtLeastOnce(id),
                Qos::ExactlyOnce => Flow::ExactlyOnce(id),
            },
            dup: message.dup && message.qos > Qos::AtMostOnce,
            retain: message.retain,
            topic,
            expires_in_s: message.expires_in_s,
            subscription_ids: Vec::new(),
            properties: message.properties,
            payload: if message.is_empty { Bytes::new() } else { payload.into() },
        };
        self.send(who, &FromClient::Publish(publish));
    }

    fn burst(&mut self, who: usize, count: usize, message: &Message) {
        for _ in 0..count {
            self.publish(who, message.clone());
            if message.qos == Qos::ExactlyOnce {
                let id = PacketId::new(message.id).expect("not zero");
                self.send(who, &FromClient::Pubrel(Ack::new(id, Reason::SUCCESS)));
            }
        }
    }

    /// What is due for the packet at this place, or a refusal of it.
    fn answer(&mut self, who: usize, at: usize, reason: Reason) {
        let Some(seat) = &self.seats[who] else { return };
        let due = seat.ledger.due();
        let Some(&(id, awaits)) = due.get(at % due.len().max(1)) else { return };
        self.send(who, &answer(id, awaits, reason));
    }

    /// Whether there was something to answer.
    fn answer_all(&mut self, who: usize) -> bool {
        let Some(seat) = &self.seats[who] else { return false };
        if !self.broker.is_open(seat.client) || seat.ledger.is_garbled {
            return false;
        }
        let due = seat.ledger.due();
        for &(id, awaits) in &due {
            self.send(who, &answer(id, awaits, Reason::SUCCESS));
        }
        !due.is_empty()
    }

    fn send(&mut self, who: usize, packet: &FromClient) {
        let Some(seat) = &self.seats[who] else { return };
        let mut bytes = BytesMut::new();
        packet.encode(&Recipient::any(seat.ledger.version), &mut bytes).expect("it is small");
        let bytes = self.spoil(who, bytes.to_vec());
        self.send_bytes(who, bytes);
    }

    fn spoil(&mut self, who: usize, mut bytes: Vec<u8>) -> Vec<u8> {
        if let Some((at, value)) = self.spoiled[who].take() {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
            self.is_tainted = true;
        }
        bytes
    }

    fn send_bytes(&mut self, who: usize, bytes: Vec<u8>) {
        let Some(seat) = &mut self.seats[who] else { return };
        if !self.broker.is_open(seat.client) {
            return;
        }
        if seat.ledger.surprises(&bytes, self.broker.limits.packet_bytes_max) {
            return self.leave(who);
        }
        let (packets, is_wrong) = seat.ledger.sent(&bytes);
        if packets.iter().any(joins_group)
            && let Some(connect) = &seat.ledger.connect
        {
            self.members.insert(connect.client_id.as_str().to_owned());
        }
        self.broker.send_bytes(seat.client, &bytes);
        // It may be right when the broker takes it.
        seat.ledger.is_lost |= is_wrong && (!seat.reads || self.broker.untaken(seat.client) > 0);
        self.look();
    }

    /// Everybody takes what was sent to them, and nothing is wrong.
    fn look(&mut self) {
        for seat in self.seats.iter_mut().flatten() {
            while let Some(frame) = self.broker.next_frame(seat.client) {
                let connect = seat.ledger.connect.as_ref();
                let member = connect.map(|connect| connect.client_id.as_str());
                let known = Known {
                    payloads: !self.is_tainted,
                    order: member.is_some_and(|member| !self.members.contains(member)),
                };
                seat.ledger.gets(frame, known);
            }
            let unwritten = self.broker.unwritten(seat.client);
            let bytes_max = 2 * self.broker.limits.queue_bytes_max + BURST_BYTES;
            assert!(unwritten <= bytes_max, "{unwritten} bytes wait for a client");
        }
        self.broker.check_invariants();
    }

    /// Clients that read and answer get all that waits for them; when all are gone, nothing is left.
    fn finish(mut self) {
        self.broker.refusal = None;
        self.spoiled = vec![None; self.spoiled.len() + CLIENT_IDS.len()];
        (0..self.seats.len()).for_each(|who| self.read(who, true));
        self.look();
        self.settle();
        (0..self.seats.len()).for_each(|who| self.check_settled(who));
        CLIENT_IDS[..3].iter().for_each(|id| self.come_back(id));
        self.settle();
        let counts = self.broker.held();
        if counts.connected == counts.sessions {
            assert_eq!(counts.queued, 0, "a message reaches nobody");
        }
        (0..self.seats.len()).for_each(|who| self.leave(who));
        self.broker.pass(u64::from(EXPIRY_MAX_S + 1) * 1_000);
        self.broker.check_invariants();
        self.broker.check_empty();
    }

    /// Until everything is answered, and nothing waits for time to pass.
    fn settle(&mut self) {
        let mut pauses = 0;
        for _ in 0..ROUNDS_MAX + ROUNDS_PER_MESSAGE * self.number {
            let mut has_answered = false;
            for who in 0..self.seats.len() {
                has_answered |= self.answer_all(who);
            }
            if has_answered {
                continue;
            }
            let is_behind = |seat: &Seat| self.is_behind(seat);
            if pauses == PAUSES_MAX || !self.seats.iter().flatten().any(is_behind) {
                return;
            }
            pauses += 1;
            self.broker.pass(1_000);
            self.look();
        }
        panic!("there is no end of messages");
    }

    /// Whether the broker has still to take a packet of this client, or to end it for what is none.
    fn is_behind(&self, seat: &Seat) -> bool {
        let is_untaken = self.broker.untaken(seat.client) > seat.ledger.partial_len();
        self.broker.is_open(seat.client) && (seat.ledger.is_garbled || is_untaken)
    }

    /// A client that is served hears of everything that it asked for; one that sent what is no packet
    /// is not served.
    fn check_settled(&mut self, who: usize) {
        self.send(who, &FromClient::Pingreq);
        for _ in 0..PAUSES_MAX {
            let Some(seat) = &self.seats[who] else { return };
            if !self.broker.is_open(seat.client) || !seat.ledger.is_owed() {
                break;
            }
            self.broker.pass(1_000);
            self.look();
        }
        // What others had sent may have been taken meanwhile, and waits for our answers.
        self.settle();
        let Some(seat) = &self.seats[who] else { return };
        let is_open = self.broker.is_open(seat.client);
        assert!(
            !(is_open && seat.ledger.is_garbled),
            "it sent what is no packet: {:?}",
            seat.ledger
        );
        let is_served = is_open && seat.ledger.is_accepted && seat.ledger.is_between_packets();
        if is_served && !seat.ledger.is_lost {
            assert!(!seat.ledger.is_owed(), "an answer is missing: {:?}", seat.ledger);
            let waiting = self.broker.waiting(seat.client);
            assert_eq!(waiting, 0, "the client takes more than it is given");
        }
    }

    /// The client with this identifier takes what is kept for it, unless it is here.
    fn come_back(&mut self, client_id: &str) {
        let has_id = |connect: &Connect| connect.client_id.as_str() == client_id;
        let is_here = |seat: &Seat| {
            self.broker.is_open(seat.client)
                && seat.ledger.is_accepted
                && seat.ledger.connect.as_ref().is_some_and(has_id)
        };
        if self.seats.iter().flatten().any(is_here) {
            return;
        }
        self.seats.push(None);
        let connect = Connect {
            clean_start: false,
            session_expiry_s: EXPIRY_MAX_S,
            ..Connect::new(Version::V5, text(client_id))
        };
        self.connect(self.seats.len() - 1, &connect);
    }
}

fn answer(id: u16, awaits: Awaits, reason: Reason) -> FromClient {
    let id = PacketId::new(id).expect("of a packet that was decoded");
    let ack = Ack::new(id, reason);
    match awaits {
        Awaits::OurPuback => FromClient::Puback(ack),
        Awaits::OurPubrec => FromClient::Pubrec(ack),
        // It has no reason for a message that was refused.
        Awaits::Pubrel | Awaits::OurPubcomp => FromClient::Pubcomp(Ack::new(id, Reason::SUCCESS)),
    }
}
