//! What every kind of run does with a cluster: waits until all of it is ready, and lets it suffer.

use std::time::{Duration, Instant};

use tokio::time;

use crate::cluster::Cluster;
use crate::random::Random;
use crate::run::Failed;
use crate::schedule::{Order, Schedule, Seen, Settings, Target, Turn};

/// How long processes may take to get ready, and clients to connect and to get answers. Far above what
/// a loaded machine needs.
pub(crate) const READY_MAX: Duration = Duration::from_secs(120);

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Waits until all processes are ready; `see` takes each look.
///
/// # Errors
/// [`Failed::Ended`] or [`Failed::NotReady`].
pub(crate) async fn ready(
    cluster: &mut Cluster,
    mut see: impl FnMut(&Cluster, &Seen),
) -> Result<(), Failed> {
    let since = Instant::now();
    loop {
        let seen = cluster.look(|_| false).await;
        see(cluster, &seen);
        let missing = cluster.processes().filter(|process| !seen.ready.contains(process));
        let missing: Vec<_> = missing.map(|process| cluster.name(process).to_owned()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(ended) = cluster.ended() {
            return Err(Failed::Ended(ended));
        }
        if since.elapsed() > READY_MAX {
            return Err(Failed::NotReady(missing.join(", ")));
        }
        time::sleep(LOOK).await;
    }
}

/// Faults for a run that ends when a process does so by itself.
pub(crate) struct Faults<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) lasts: Duration,
    pub(crate) random: Random,
    /// Takes lines of progress.
    pub(crate) tell: &'a dyn Fn(&str),
}

impl Faults<'_> {
    /// How many there were. `note` takes each order before it is obeyed. All are brought back at the end.
    ///
    /// # Errors
    /// [`Failed`] when a process cannot be started, or has ended by itself.
    pub(crate) async fn strike(
        self,
        cluster: &mut Cluster,
        note: impl Fn(Order),
    ) -> Result<usize, Failed> {
        let mut schedule = Schedule::new(self.settings.clone(), self.random);
        let (start, mut faults) = (Instant::now(), 0);
        while start.elapsed() < self.lasts {
            if let Some(ended) = cluster.ended() {
                return Err(Failed::Ended(ended));
            }
            if !self.settings.targets.is_empty() {
                let seen = cluster.look(|process| schedule.is_away(process)).await;
                let Turn { fault, orders } = schedule.step(start.elapsed(), &seen);
                if let Some(target) = fault {
                    faults += 1;
                    announce(self.tell, cluster, start, target, &orders);
                }
                obey(cluster, &orders, &note)?;
            }
            time::sleep(LOOK).await;
        }
        obey(cluster, &schedule.end(), &note)?;
        Ok(faults)
    }
}

/// All that happens at the same moment is noted before any of it.
fn obey(cluster: &mut Cluster, orders: &[Order], note: &impl Fn(Order)) -> Result<(), Failed> {
    orders.iter().copied().for_each(note);
    orders.iter().try_for_each(|&order| cluster.obey(order))?;
    Ok(())
}

/// Tells who is hurt.
pub(crate) fn announce(
    tell: &dyn Fn(&str),
    cluster: &Cluster,
    start: Instant,
    target: Target,
    orders: &[Order],
) {
    for &order in orders {
        let verb = match order {
            Order::Kill(_) => "killed".to_owned(),
            Order::Stop(_) => "stopped".to_owned(),
            Order::Damage(_, wound) => wound.to_string(),
            Order::Start(_) | Order::Continue(_) => continue,
        };
        let (seconds, name) = (start.elapsed().as_secs_f32(), cluster.name(order.process()));
        tell(&format!("{seconds:.1} s: {name} is {verb} ({target})"));
    }
}
