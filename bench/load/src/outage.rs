//! How long a publisher waits for its acknowledgements when something is done to a cluster.
//!
//! It publishes at QoS 1, at a steady pace, what a session that is away must get: an acknowledgement
//! means that a majority has it.

use std::io;
use std::time::Duration;

use tokio::time;

use crate::client::{self, Session};
use crate::report::Figure;
use crate::steady::{Publisher, Sent, Strike, strike};

const TOPIC: &str = "bench/outage";

/// How long the cluster may take to go on.
const OUTAGE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it publishes.
    #[arg(long, value_name = "HOST:PORT")]
    publish: String,
    /// What is done, for the shell.
    #[arg(long, value_name = "COMMAND")]
    strike: String,
    /// Milliseconds between two publishes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Milliseconds of publishing before.
    #[arg(long, default_value_t = 1_000)]
    before: u64,
    /// Milliseconds of publishing after, at least.
    #[arg(long, default_value_t = 2_000)]
    after: u64,
}

/// What the publisher saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// From the beginning of the strike to the first acknowledgement of what was sent after its end.
    next: Option<Duration>,
    /// The longest time without an acknowledgement, from the beginning of the strike on.
    gap: Duration,
    /// The same, before.
    gap_before: Duration,
}

/// Measures how long it waited.
pub(crate) async fn run(args: Args) -> io::Result<Vec<Figure>> {
    let away_id = format!("bench-away-{}", std::process::id());
    let mut away = client::connect(&args.publish, &away_id, Session::Kept).await?;
    away.subscribe(TOPIC, 1).await?;
    away.leave().await?;
    let every = Duration::from_millis(args.every);
    let publisher = Publisher::start(&args.publish, TOPIC, every).await?;
    time::sleep(Duration::from_millis(args.before)).await;
    let strike = strike(args.strike).await?;
    let after = Duration::from_millis(args.after);
    while !publisher.has_ended() && strike.began.elapsed() < OUTAGE_MAX {
        time::sleep(Duration::from_millis(100)).await;
        if strike.ended.elapsed() > after && seen(&publisher.sent(), strike).next.is_some() {
            break;
        }
    }
    let seen = seen(&publisher.stop(), strike);
    client::forget(&args.publish, &away_id).await?;
    Ok(figures(&seen))
}

fn figures(seen: &Seen) -> Vec<Figure> {
    vec![
        Figure::millis("next", seen.next, 2),
        Figure::millis("gap", Some(seen.gap), 2),
        Figure::millis("gap-before", Some(seen.gap_before), 2),
    ]
}

/// Decides what was seen.
fn seen(log: &[Sent], strike: Strike) -> Seen {
    let after = log.iter().filter(|sent| sent.at >= strike.ended);
    let next = after.filter_map(|sent| sent.acknowledged).min();
    let mut answers: Vec<_> = log.iter().filter_map(|sent| sent.acknowledged).collect();
    answers.sort_unstable();
    let (mut gap, mut gap_before) = (Duration::ZERO, Duration::ZERO);
    for pair in answers.windows(2) {
        let longest = if pair[1] >= strike.began { &mut gap } else { &mut gap_before };
        *longest = (*longest).max(pair[1] - pair[0]);
    }
    Seen { next: next.map(|at| at - strike.began), gap, gap_before }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn log(start: Instant, all: &[(u64, u64)]) -> Vec<Sent> {
        let at = |ms: u64| start + Duration::from_millis(ms);
        let sent = |&(sent, answered)| Sent { at: at(sent), acknowledged: Some(at(answered)) };
        all.iter().map(sent).collect()
    }

    #[test]
    fn answer_to_what_was_sent_before_the_strike_ended_is_not_the_next() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let strike = Strike { began: at(10), ended: at(12) };
        let seen = seen(&log(start, &[(0, 1), (8, 11), (11, 12), (13, 400), (15, 399)]), strike);
        assert_eq!(seen.next, Some(Duration::from_millis(389)));
        assert_eq!(seen.gap, Duration::from_millis(387));
        assert_eq!(seen.gap_before, Duration::ZERO);
    }

    #[test]
    fn gap_that_began_before_the_strike_counts_as_its_own() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let strike = Strike { began: at(10), ended: at(10) };
        let seen = seen(&log(start, &[(0, 1), (2, 4), (5, 60)]), strike);
        assert_eq!((seen.gap_before, seen.gap), (at(4) - at(1), at(60) - at(4)));
        assert_eq!(seen.next, None);
    }
}
