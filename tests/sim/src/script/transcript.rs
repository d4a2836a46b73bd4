//! What happened, for a person who must find out why a script failed.

use crate::mqtt::world::Arrival;
use crate::network::Packet;

/// Longest line.
const CHARS_MAX: usize = 240;

/// Printed when it is dropped by a panic.
#[derive(Debug)]
pub(super) struct Transcript {
    seed: u64,
    lines: Vec<String>,
}

impl Transcript {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, lines: Vec::new() }
    }

    /// What the script does.
    pub(super) fn step(&mut self, now: u64, text: &str) {
        self.lines.push(format!("{now:>6} -- {text}"));
    }

    /// What follows.
    pub(super) fn line(&mut self, now: u64, text: &str) {
        let text: String = text.chars().take(CHARS_MAX).collect();
        self.lines.push(format!("{now:>6}    {text}"));
    }

    /// A packet, unless it is a heartbeat.
    pub(super) fn packet(&mut self, Arrival { at, broker, node, packet }: &Arrival) {
        let text = match packet {
            Packet::HeartbeatUp(..) | Packet::HeartbeatDown(..) => return,
            Packet::Up(item) => format!("{item:?}"),
            Packet::Down(item, _) => format!("{item:?}"),
            other => format!("{other:?}"),
        };
        let node = node.map_or("?".into(), |node| node.to_string());
        let arrow = if packet.is_for_server() { "->" } else { "<-" };
        self.line(*at, &format!("broker {broker} {arrow} node {node}: {text}"));
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the script fails with seed {}:\n{}", self.seed, self.lines.join("\n"));
        }
    }
}
