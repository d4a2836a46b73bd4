//! What the check costs: ten million deliveries, to few clients or to many.
//!
//! `cargo run --release -p history --example large -- [MESSAGES SUBSCRIBERS]`

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use ha_types::Qos;
use history::{
    Event, History, NEVER_EXPIRES, Name, Present, Retain, RetainedWanted, Start, Step, What,
};

const PUBLISHERS: u32 = 10;
const QOS: Qos = Qos::AtLeastOnce;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<u32> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [messages, subscribers] = arguments[..] else {
        run(1_000_000, 10)?;
        return Ok(());
    };
    run(messages, subscribers)?;
    Ok(())
}

fn run(messages: u32, subscribers: u32) -> io::Result<()> {
    let history = write(messages, subscribers);
    let began = Instant::now();
    let verdict = history.check();
    let took = began.elapsed();
    writeln!(io::stdout(), "{verdict}\nchecked in {took:.2?}; {}", peak_memory())
}

fn write(messages: u32, subscribers: u32) -> History {
    let mut history = History::default();
    let topics: Vec<_> = (0..PUBLISHERS).map(|n| history.name(&format!("line/{n}"))).collect();
    let publishers: Vec<_> = (0..PUBLISHERS).map(|n| history.name(&format!("p{n}"))).collect();
    let readers: Vec<_> = (0..subscribers).map(|n| history.name(&format!("s{n}"))).collect();
    let filter = history.name("line/+");
    for &who in publishers.iter().chain(&readers) {
        connect(&mut history, who);
    }
    for &who in &readers {
        subscribe(&mut history, who, filter);
    }
    for message in 0..messages {
        let (number, from) = (message / PUBLISHERS, (message % PUBLISHERS) as usize);
        pass(&mut history, &readers, publishers[from], topics[from], number);
    }
    for &who in &readers {
        history.push(Event { who, connection: 1, what: What::Drained });
    }
    history
}

fn connect(history: &mut History, who: Name) {
    let what = What::Connecting { start: Start::Resume, expires_s: NEVER_EXPIRES };
    history.push(Event { who, connection: 1, what });
    let what = What::Connected { session: Present::New };
    history.push(Event { who, connection: 1, what });
}

fn subscribe(history: &mut History, who: Name, filter: Name) {
    let (retained, no_local, as_published) = (RetainedWanted::Never, false, false);
    let what = What::Subscribing { filter, qos: QOS, retained, no_local, as_published };
    history.push(Event { who, connection: 1, what });
    history.push(Event {
        who,
        connection: 1,
        what: What::Subscribed { filter, granted: Some(QOS) },
    });
}

/// A message is published, acknowledged, and delivered to all.
fn pass(history: &mut History, readers: &[Name], publisher: Name, topic: Name, number: u32) {
    let (retain, dup, qos, step) = (Retain::No, false, QOS, Step::Puback);
    let what = What::Publishing { number, topic, qos, retain, dup, expires_s: None };
    history.push(Event { who: publisher, connection: 1, what });
    let what = What::Acknowledged { number, step };
    history.push(Event { who: publisher, connection: 1, what });
    for &who in readers {
        let (retain, packet_id) = (false, 1);
        let what = What::Delivered { publisher, number, topic, qos, dup, retain, packet_id };
        history.push(Event { who, connection: 1, what });
        let what = What::DeliveryAcknowledged { packet_id, step };
        history.push(Event { who, connection: 1, what });
    }
}

/// As the system counts it, where it does.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("peak memory unknown").to_owned()
}
