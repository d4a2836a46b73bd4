//! What a load is told, and what it prints.
//!
//! A message carries the time at which it was meant to be sent, so that a publisher that cannot keep
//! its rate shows as latency (no coordinated omission).

use std::io;
use std::time::Duration;

use crate::client::{self, Session};
use crate::run::{self, Load, Report};
use crate::shape::Pattern;

/// Bytes of payload.
const SIZES: std::ops::RangeInclusive<i64> = 16..=1 << 20;

/// Prints throughput, latency, loss, duplicates and processor time.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Publishers (pairs, fan-in) or subscribers (fan-out).
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Where publishers connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    publish: String,
    /// Where subscribers connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1884")]
    subscribe: String,
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
    /// 512, or fewer, so that no more than 4 MiB are on their way to any one subscriber.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    window: Option<u16>,
    /// Messages per second of all publishers together; 0: as fast as the window allows.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Seconds that count.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Processes whose processor time is measured.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
}

impl LoadArgs {
    pub(crate) async fn run(self, pattern: Pattern) -> io::Result<()> {
        let window = pattern.window(self.clients, self.size);
        let report = run::run(Load {
            pattern,
            clients: self.clients,
            publish: self.publish,
            subscribe: self.subscribe,
            qos: self.qos,
            padding: client::padding(self.size),
            window: self.window.unwrap_or(window).into(),
            rate: self.rate,
            seconds: Duration::from_secs(self.seconds.max(1)),
            warm_up: Duration::from_secs(self.warm_up),
            session: if self.durable { Session::Kept } else { Session::Clean },
            pids: self.pids,
        });
        print(&report.await?);
        Ok(())
    }
}

fn print(report: &Report) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let millis = |quantile| report.latency_us.value_at_quantile(quantile) as f64 / 1_000.0;
    println!("delivered   {:>12.0} msg/s", report.delivered_per_second);
    println!("sent        {:>12.0} msg/s", report.sent_per_second);
    println!("p50         {:>12.2} ms", millis(0.5));
    println!("p99         {:>12.2} ms", millis(0.99));
    println!("p99.9       {:>12.2} ms", millis(0.999));
    println!("lost        {:>12}", report.lost);
    println!("duplicates  {:>12}", report.duplicates);
    println!("reordered   {:>12}", report.reordered);
    for (pid, seconds) in &report.cpu_seconds_per_million {
        println!("cpu {pid:<8}{seconds:>12.2} s per million");
    }
}
