//! Watches that the engine delivers, from a thread of its own: a runtime that hangs cannot say so itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use broker_core::pulse::{Pulse, SILENCE_MS_MAX};
use tokio::sync::oneshot;
use tokio::time;

use crate::engine::{Engine, Probe};

/// How often the engine must show that it works.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Between two looks of the thread.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the process may take to end after it was told that it is stuck. It may be as stuck as that.
const END_MAX: Duration = Duration::from_secs(5);

/// Proofs that the engine works.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    count: AtomicU64,
    /// Why there is none.
    trouble: Mutex<String>,
}

impl Proofs {
    fn trouble(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match trouble.as_str() {
            "" => "no answer to a probe".to_owned(),
            _ => trouble,
        }
    }
}

/// Probes the engine for ever, or until it is known to be dead: returns why. `well` is called after each
/// proof.
pub(crate) async fn probe(engine: &Engine, proofs: &Proofs, well: impl Fn()) -> String {
    loop {
        match engine.probe().await {
            Probe::Proved => {
                proofs.count.fetch_add(1, Ordering::Release);
                well();
            }
            Probe::Silent(why) => {
                *proofs.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
            }
            Probe::Dead(why) => return why,
        }
        time::sleep(PROBE_EVERY).await;
    }
}

/// Starts the thread. It says why when there was no proof for too long, and ends the process if that does
/// not end by itself then. It ends when `proofs` are dropped.
pub(crate) fn watch(proofs: &Arc<Proofs>) -> oneshot::Receiver<String> {
    let (stuck, receiver) = oneshot::channel();
    let watched = Arc::downgrade(proofs);
    let watching = thread::Builder::new().name("pulse".into()).spawn(move || {
        if let Some(why) = look(&watched) {
            tracing::error!("stuck: {why}");
            // An error means that the process is at its end already.
            let _ = stuck.send(why);
            thread::sleep(END_MAX);
            if watched.strong_count() > 0 {
                std::process::exit(1);
            }
        }
    });
    if let Err(error) = watching {
        tracing::warn!(%error, "no thread to watch the engine");
    }
    receiver
}

fn look(proofs: &Weak<Proofs>) -> Option<String> {
    let (mut pulse, mut looked_at) = (Pulse::default(), Instant::now());
    loop {
        thread::sleep(LOOK_EVERY);
        let proofs = proofs.upgrade()?;
        let elapsed = std::mem::replace(&mut looked_at, Instant::now()).elapsed();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if pulse.look(elapsed_ms, proofs.count.load(Ordering::Acquire)) {
            let seconds = SILENCE_MS_MAX / 1_000;
            return Some(format!("{} for {seconds} s", proofs.trouble()));
        }
    }
}
