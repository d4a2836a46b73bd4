//! What servers say and do about their disks: each damage is noticed once, nothing else is taken for
//! damage, nobody leads before it has recovered, and it has within [`RECOVERED_MAX`].
//!
//! Pure: orders, sights and time in, complaints out.

use std::time::Duration;

use crate::schedule::{Order, Process, Seen};

/// How long a server may take to recover, since anything was last done to a server: it waits for all
/// others. Far above what a loaded machine needs; a quiet one needs a second.
pub const RECOVERED_MAX: Duration = Duration::from_secs(60);

/// What is known of one server.
#[derive(Clone, Debug, Default)]
struct Server {
    damages: usize,
    /// Whether what it said after its last start was looked at.
    is_judged: bool,
    /// Complained of since its last start.
    has_led: bool,
    is_late: bool,
}

/// Watches all of them.
#[derive(Clone, Debug)]
pub struct Disks {
    servers: Vec<Server>,
    /// When anything was last done to a server.
    struck_at: Duration,
    complaints: Vec<String>,
}

impl Disks {
    /// Intact ones of servers that run.
    #[must_use]
    pub fn of(servers: usize) -> Self {
        let servers = vec![Server::default(); servers];
        Self { servers, struck_at: Duration::ZERO, complaints: Vec::new() }
    }

    /// Something is done to a process at `now`.
    pub fn note(&mut self, now: Duration, order: Order) {
        let Process::Server(index) = order.process() else { return };
        self.struck_at = now;
        let server = &mut self.servers[index];
        match order {
            Order::Damage(..) => server.damages += 1,
            Order::Start(_) => {
                *server = Server { damages: server.damages, ..Server::default() };
            }
            Order::Kill(_) | Order::Stop(_) | Order::Continue(_) => (),
        }
    }

    /// What is seen at `now`; `said` tells how often a server has said that it lost records, since it
    /// was first started.
    pub fn see(&mut self, now: Duration, seen: &Seen, said: impl Fn(usize) -> usize) {
        let waited = now.saturating_sub(self.struck_at);
        for (index, server) in self.servers.iter_mut().enumerate() {
            let name = format!("server-{}", index + 1);
            let is_ready = seen.ready.contains(&Process::Server(index));
            if is_ready && !server.is_judged {
                server.is_judged = true;
                let (damages, said) = (server.damages, said(index));
                if said != damages {
                    let what = format!("{name} said {said} times that it lost records");
                    self.complaints.push(format!("{what}; its disk was damaged {damages} times"));
                }
            }
            if seen.premature.contains(&index) && !server.has_led {
                server.has_led = true;
                self.complaints.push(format!("{name} leads before it has recovered"));
            }
            if seen.recovering.contains(&index) && waited > RECOVERED_MAX && !server.is_late {
                server.is_late = true;
                let seconds = waited.as_secs();
                self.complaints.push(format!("{name} has not recovered after {seconds} s"));
            }
        }
    }

    /// What they did wrong so far.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }
}

#[cfg(test)]
mod tests {
    use faulty_disk::Damage;

    use super::*;
    use crate::schedule::Wound;

    const SERVER: Process = Process::Server(1);
    const WOUND: Wound = Wound { damage: Damage::Zero, place: 0 };

    fn damaged() -> Disks {
        let mut disks = Disks::of(3);
        disks.note(Duration::ZERO, Order::Kill(SERVER));
        disks.note(Duration::ZERO, Order::Damage(SERVER, WOUND));
        disks.note(Duration::from_secs(1), Order::Start(SERVER));
        disks
    }

    fn ready() -> Seen {
        Seen { ready: [SERVER].into(), ..Seen::default() }
    }

    #[test]
    fn damage_that_is_noticed_once_and_mended_is_nothing_to_complain_of() {
        let mut disks = damaged();
        let recovering = Seen { recovering: [1].into(), ..Seen::default() };
        disks.see(Duration::from_secs(1) + RECOVERED_MAX, &recovering, |_| 1);
        disks.see(Duration::from_secs(1) + RECOVERED_MAX, &ready(), |_| 1);
        assert_eq!(disks.complaints(), [""; 0]);
    }

    #[test]
    fn damage_that_is_not_noticed_is_said_once() {
        let mut disks = damaged();
        disks.see(Duration::from_secs(2), &ready(), |_| 0);
        disks.see(Duration::from_secs(3), &ready(), |_| 0);
        let said = "server-2 said 0 times that it lost records; its disk was damaged 1 times";
        assert_eq!(disks.complaints(), [said]);
    }

    #[test]
    fn server_that_loses_records_on_an_intact_disk_is_told() {
        let mut disks = Disks::of(3);
        disks.see(Duration::from_secs(2), &ready(), |_| 0);
        disks.note(Duration::from_secs(3), Order::Kill(SERVER));
        disks.note(Duration::from_secs(4), Order::Start(SERVER));
        assert_eq!(disks.complaints(), [""; 0]);
        disks.see(Duration::from_secs(5), &ready(), |_| 1);
        assert_eq!(disks.complaints().len(), 1);
    }

    #[test]
    fn server_that_leads_while_it_recovers_is_told() {
        let mut disks = damaged();
        let seen = Seen { recovering: [1].into(), premature: [1].into(), ..Seen::default() };
        disks.see(Duration::from_secs(2), &seen, |_| 1);
        disks.see(Duration::from_secs(3), &seen, |_| 1);
        assert_eq!(disks.complaints(), ["server-2 leads before it has recovered"]);
    }

    #[test]
    fn server_that_does_not_recover_in_time_is_told() {
        let mut disks = damaged();
        let seen = Seen { recovering: [1].into(), ..Seen::default() };
        let late = RECOVERED_MAX + Duration::from_secs(2);
        // The others must be there for so long.
        disks.note(Duration::from_secs(3), Order::Start(Process::Server(0)));
        disks.see(late, &seen, |_| 1);
        assert_eq!(disks.complaints(), [""; 0]);
        disks.see(late + Duration::from_secs(2), &seen, |_| 1);
        assert_eq!(disks.complaints(), ["server-2 has not recovered after 61 s"]);
    }
}
