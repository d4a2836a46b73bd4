//! What a load is told, and what it reports.
//!
//! A message carries the time at which it was meant to be sent, so that a publisher that cannot keep
//! its rate shows as latency (no coordinated omission).

use std::io;
use std::time::Duration;

use crate::client::Session;
use crate::compose::padding;
use crate::connector::ConnectorArgs;
use crate::report::Figure;
use crate::run::{self, Cost, Load, Report, float};
use crate::shape::Pattern;

/// A year.
pub(crate) const SECONDS_MAX: u64 = 31_536_000;

/// Bytes of payload.
const SIZES: std::ops::RangeInclusive<i64> = 16..=1 << 20;

/// Measures throughput, latency, loss, duplicates, processor time and memory.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Publishers (pairs, topics, shared, fan-in) or subscribers (fan-out).
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Where publishers connect; in turn, if there are several.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    publish: Vec<String>,
    /// Where subscribers connect; in turn, if there are several.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1884")]
    subscribe: Vec<String>,
    /// Quality of service of both sides. At 1 and 2 a message stays in the window until its
    /// exchange with the publisher is complete, too.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Subscribers have sessions that are kept. They are ended afterwards.
    #[arg(long)]
    durable: bool,
    /// Bytes of payload, 16 to 1048576; the first 16 say which message it is.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(SIZES))]
    size: u32,
    /// Messages of one publisher that may be on their way to a subscriber, 1 to 65535. By default
    /// 512, or fewer, so that no more than 4 MiB are on their way to any one subscriber. At QoS 1
    /// and 2 never more than a broker of MQTT 5 says it takes.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    window: Option<u16>,
    /// Messages per second of all publishers together, which take turns at equal distances; 0: as
    /// fast as the window allows.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Seconds that count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    seconds: u64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    warm_up: u64,
    /// Processes whose processor time and memory are measured; not those that they start.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    #[command(flatten)]
    connector: ConnectorArgs,
}

/// The same, with many topics.
#[derive(Debug, clap::Args)]
pub(crate) struct TopicsArgs {
    /// Topics of each publisher, which it takes in turn; its subscriber has one filter for all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    topics: u32,
    #[command(flatten)]
    load: LoadArgs,
}

impl TopicsArgs {
    pub(crate) async fn run(self) -> io::Result<Vec<Figure>> {
        self.load.run(Pattern::Topics(self.topics)).await
    }
}

impl LoadArgs {
    pub(crate) async fn run(self, pattern: Pattern) -> io::Result<Vec<Figure>> {
        let window = pattern.window(self.clients, self.size);
        let report = run::run(Load {
            connector: self.connector.connector()?,
            pattern,
            clients: self.clients,
            publish: self.publish,
            subscribe: self.subscribe,
            qos: self.qos,
            padding: padding(self.size),
            window: self.window.unwrap_or(window).into(),
            rate: self.rate,
            seconds: Duration::from_secs(self.seconds.max(1)),
            warm_up: Duration::from_secs(self.warm_up),
            session: if self.durable { Session::Kept } else { Session::Clean },
            pids: self.pids,
        });
        Ok(figures(&report.await?, pattern))
    }
}

fn figures(report: &Report, pattern: Pattern) -> Vec<Figure> {
    let quantile = |name, quantile| {
        let latency = Duration::from_micros(report.latency_us.value_at_quantile(quantile));
        Figure::millis(name, (!report.latency_us.is_empty()).then_some(latency), 2)
    };
    let mut figures = vec![
        Figure::measure("delivered", report.delivered_per_second, 0, "msg/s"),
        Figure::measure("sent", report.sent_per_second, 0, "msg/s"),
        quantile("p50", 0.5),
        quantile("p99", 0.99),
        quantile("p99.9", 0.999),
        Figure::count("lost", report.lost),
        Figure::count("duplicates", report.duplicates),
    ];
    if pattern.lanes().is_some() {
        figures.push(Figure::count("reordered", report.reordered));
    }
    let cost = |cost: &Cost| {
        Figure::measure("cpu", cost.seconds_per_million, 2, "s per million").of(cost.pid)
    };
    figures.extend(report.costs.iter().map(cost));
    let memory = |cost: &Cost| Figure::mebibytes("memory", float(cost.resident)).of(cost.pid);
    figures.extend(report.costs.iter().map(memory));
    figures
}
