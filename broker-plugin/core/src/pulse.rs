//! Whether a broker still works, by proofs that it delivers.
//!
//! Decides when silence has lasted too long. It counts the time in which the watcher itself ran: a
//! process that was stopped, or a machine that slept, has proved nothing and is not guilty of it.

/// Time between two looks of the watcher that counts, at most, milliseconds.
const LOOK_MS_MAX: u64 = 500;

/// How long a broker may go without a proof, milliseconds.
pub const SILENCE_MS_MAX: u64 = 10_000;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    proofs: u64,
    silent_ms: u64,
}

impl Pulse {
    /// The watcher looks again after `elapsed_ms`, and has counted so many proofs since the start. True:
    /// the broker is stuck.
    #[must_use]
    pub fn look(&mut self, elapsed_ms: u64, proofs: u64) -> bool {
        if proofs != self.proofs {
            *self = Self { proofs, silent_ms: 0 };
        } else {
            self.silent_ms = self.silent_ms.saturating_add(elapsed_ms.min(LOOK_MS_MAX));
        }
        self.silent_ms >= SILENCE_MS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_is_stuck_after_ten_seconds_without_a_proof() {
        let mut pulse = Pulse::default();
        assert!(!pulse.look(250, 1), "the proof itself");
        assert!((0..39).all(|_| !pulse.look(250, 1)));
        assert!(pulse.look(250, 1));
    }

    #[test]
    fn each_proof_begins_the_count_again() {
        let mut pulse = Pulse::default();
        assert!((0..1_000).all(|at| !pulse.look(250, at / 4)));
    }

    #[test]
    fn stopped_process_does_not_count_the_time_in_which_it_did_not_run() {
        let mut pulse = Pulse::default();
        assert!(!pulse.look(250, 1));
        assert!(!pulse.look(30_000, 1));
        assert!((0..18).all(|_| !pulse.look(30_000, 1)));
        assert!(pulse.look(30_000, 1));
    }
}
