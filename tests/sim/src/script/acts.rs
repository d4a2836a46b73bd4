//! What a script does.

use broker_core::codec::Version;
use ha_core::cluster::{Batch, Command};
use ha_types::{ClusterMillis, Qos};
use history::{History, What};

use super::{Attention, BROKERS, NODES, REST_MS, Script, Sent, Sight, Who, idle};
use crate::mqtt::clock::SLOWEST;
use crate::mqtt::device::{Device, Kind, Post};
use crate::mqtt::raft::NodeId;
use crate::mqtt::world::Client;
use crate::network::{BrokerId, Way};

/// Who leads when node 0 does not.
const NEXT_LEADER: NodeId = 1;

/// Milliseconds after which nothing is under way that an answer left behind.
const SETTLES_MS: u64 = 40;

/// Milliseconds in which a script ends.
const FOREVER_MS: u64 = 1 << 30;

impl Script {
    /// A client whose session never expires, connected.
    pub fn durable(&mut self, name: &str, broker: BrokerId) -> Who {
        self.client(name, Kind::Durable, broker, None).0
    }

    /// A client whose session ends with its connection, connected.
    pub fn ephemeral(&mut self, name: &str, broker: BrokerId) -> Who {
        self.client(name, Kind::Ephemeral, broker, None).0
    }

    /// The same with a will.
    pub fn mortal(&mut self, name: &str, broker: BrokerId, will: Post) -> (Who, Sent) {
        self.client(name, Kind::Ephemeral, broker, Some(will))
    }

    fn client(
        &mut self,
        name: &str,
        kind: Kind,
        broker: BrokerId,
        will: Option<Post>,
    ) -> (Who, Sent) {
        let device = Device::new(name.into(), Version::V5, kind, &self.recorder);
        let device = device.with_wills(will.into_iter().collect());
        let number = device.next_number();
        self.world.clients.push(Client { device, link: None });
        self.attention.push(Attention::Attends);
        let who = Who(self.attention.len() - 1);
        self.say(&format!("{who:?} is {name}"));
        self.connect(who, broker);
        (who, Sent { who, number })
    }

    /// It connects, and is accepted; then nothing is under way.
    pub fn connect(&mut self, who: Who, broker: BrokerId) {
        self.act(&format!("{who:?} connects to broker {broker}"));
        self.world.connect(who.0, broker, u16::MAX);
        self.until(Sight::connected(who));
        self.pass(SETTLES_MS);
    }

    /// Its connection breaks, and with it what is under way.
    pub fn hang_up(&mut self, who: Who) {
        self.act(&format!("{who:?} hangs up"));
        self.world.hang_up(who.0);
    }

    /// It subscribes, and has its SUBACK; then nothing is under way.
    pub fn subscribe(&mut self, who: Who, filter: &'static str, qos: Qos) {
        self.act(&format!("{who:?} subscribes to {filter}"));
        let packet = self.world.clients[who.0].device.subscribe(filter, qos);
        self.world.send(who.0, &packet.expect("nothing else is asked"));
        self.until(Sight::subscribed(who, filter));
        self.pass(SETTLES_MS);
    }

    /// It sends a message.
    pub fn publish(&mut self, who: Who, topic: &'static str, qos: Qos) -> Sent {
        self.post(who, Post { topic, qos, retain: false, expires_in_s: None })
    }

    /// It sends a message of any kind.
    pub fn post(&mut self, who: Who, post: Post) -> Sent {
        self.act(&format!("{who:?} publishes {post:?}"));
        let device = &mut self.world.clients[who.0].device;
        let sent = Sent { who, number: device.next_number() };
        let packet = device.publish(post).expect("it is connected and owes nothing");
        self.world.send(who.0, &packet);
        sent
    }

    /// It reads, and sends nothing more by itself.
    pub fn silence(&mut self, who: Who) {
        self.act(&format!("{who:?} does not answer"));
        self.attention[who.0] = Attention::Silent;
    }

    /// It does not read any more.
    pub fn deafen(&mut self, who: Who) {
        self.act(&format!("{who:?} does not read"));
        self.attention[who.0] = Attention::Deaf;
    }

    /// It sends the next packet that it owes.
    pub fn answer(&mut self, who: Who) {
        self.act(&format!("{who:?} answers once"));
        let packet = self.world.clients[who.0].device.next_packet().expect("it owes something");
        self.world.send(who.0, &packet);
    }

    /// It sends the next packet that it owes, and the network loses it.
    pub fn answer_in_vain(&mut self, who: Who) {
        self.fault(&format!("{who:?} answers once, in vain"));
        self.world.clients[who.0].device.next_packet().expect("it owes something");
    }

    /// From now on it takes the lowest packet identifiers that are free.
    pub fn use_packet_ids_again(&mut self, who: Who) {
        self.act(&format!("{who:?} begins with its packet identifiers anew"));
        self.world.clients[who.0].device.use_packet_ids_again();
    }

    /// It reads and answers again.
    pub fn attend_again(&mut self, who: Who) {
        self.act(&format!("{who:?} reads and answers"));
        self.attention[who.0] = Attention::Attends;
    }

    /// What goes one way between a broker and the nodes does not arrive until it is released.
    pub fn hold(&mut self, broker: BrokerId, way: Way) {
        self.fault(&format!("nothing goes {way:?} at broker {broker}"));
        self.world.hold(broker, way, FOREVER_MS);
    }

    /// What was held arrives.
    pub fn release(&mut self, broker: BrokerId, way: Way) {
        self.act(&format!("what goes {way:?} at broker {broker} arrives"));
        self.world.release(broker, way);
    }

    /// Breaks the streams of a broker, with what is under way.
    pub fn break_streams(&mut self, broker: BrokerId) {
        self.fault(&format!("the streams of broker {broker} break"));
        self.world.break_streams(broker);
    }

    /// The leader dies, with what it has not sent off, and does not come back before the end.
    pub fn crash_leader(&mut self) {
        let leader = self.world.raft.leader;
        self.fault(&format!("node {leader} dies"));
        self.world.kill_node(leader, FOREVER_MS);
        self.lead_brokers_to(NEXT_LEADER);
    }

    /// The other nodes do not reach the leader any more; brokers do.
    pub fn cut_off_leader(&mut self) -> NodeId {
        let leader = self.world.raft.leader;
        self.fault(&format!("node {leader} is cut off"));
        self.world.cut_node(leader, FOREVER_MS);
        self.lead_brokers_to(NEXT_LEADER);
        leader
    }

    /// Brokers that dial find the leader at once: where they look first is chance.
    pub(super) fn lead_brokers_to(&mut self, node: NodeId) {
        self.world.raft.favourite = Some(node);
        for broker in self.world.brokers.iter_mut().filter_map(|broker| broker.running.as_mut()) {
            broker.led_to = Some(node);
        }
    }

    /// The other nodes reach it again.
    pub fn heal(&mut self, node: NodeId) {
        self.act(&format!("node {node} is reached again"));
        self.world.heal_node(node);
    }

    /// A command comes into the log before all that wait for it, and the leader does not know.
    pub fn slip_in(&mut self, command: Command) {
        self.act(&format!("before what is proposed comes {command:?}"));
        let time = ClusterMillis(0);
        let entry = Batch { time, commands: vec![command] }.encode();
        self.world.raft.slip_in(self.world.now, entry);
    }

    /// Sets the wall clock of a node so many milliseconds ahead of the true time, or behind it.
    pub fn set_clock(&mut self, node: NodeId, ahead_ms: i64) {
        self.act(&format!("the clock of node {node} is {ahead_ms} ms ahead"));
        let ahead_ms = SLOWEST.checked_add_signed(ahead_ms).expect("not slower than the slowest");
        self.world.clocks[node].ahead_ms = ahead_ms;
    }

    /// A step: what the log has from now on is looked at.
    fn act(&mut self, text: &str) {
        self.say(text);
        self.log.clear();
    }

    fn fault(&mut self, text: &str) {
        self.act(text);
        self.recorder.client("fault").record_alone(What::Fault);
    }

    /// Everything heals; then nothing may be under way, and what clients saw is judged.
    pub(super) fn finish(mut self) {
        self.act("everything heals");
        (0..NODES).for_each(|node| self.world.heal_node(node));
        for broker in 0..BROKERS {
            self.world.release(broker, Way::Up);
            self.world.release(broker, Way::Down);
        }
        self.attention.fill(Attention::Attends);
        let end = self.world.now + REST_MS;
        while self.world.now < end {
            self.step(end);
            (0..self.attention.len())
                .for_each(|who| self.world.connect(who, who % BROKERS, u16::MAX));
        }
        for who in 0..self.attention.len() {
            self.until(idle(Who(who)));
            if self.world.clients[who].device.is_durable() {
                self.world.clients[who].device.drained();
            }
        }
        self.look();
        self.judge();
    }

    fn judge(&self) {
        let mut history = History::default();
        self.seen.iter().cloned().for_each(|event| history.push_named(event));
        let verdict = history.check();
        assert!(verdict.is_clean(), "{verdict}");
    }
}
