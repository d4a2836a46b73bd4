//! Connections in their handshakes: how many there may be, and which one makes room.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

/// Whether one more connection may begin its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is a free place.
    Free,
    /// From then on, in the place of the oldest.
    From(Instant),
    /// When one of those that have ended is taken out.
    None,
}

/// Tasks that each take one connection through its handshakes, at most `at_once_max`.
///
/// Dropping it ends them all.
#[derive(Debug)]
pub(crate) struct HalfOpen<T> {
    at_once_max: usize,
    grace: Duration,
    tasks: JoinSet<T>,
    /// One entry for each task of the set that was not shed.
    begun: HashMap<Id, (Instant, AbortHandle)>,
}

impl<T: Send + 'static> HalfOpen<T> {
    pub(crate) fn new(at_once_max: usize, grace: Duration) -> Self {
        Self { at_once_max, grace, tasks: JoinSet::new(), begun: HashMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(crate) fn begin(&mut self, handshake: impl Future<Output = T> + Send + 'static) {
        let task = self.tasks.spawn(handshake);
        self.begun.insert(task.id(), (Instant::now(), task));
    }

    /// Waits for the next one to end. `None`: there is none, or it was shed. May be cancelled.
    pub(crate) async fn next(&mut self) -> Option<T> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |&(id, _)| id);
        self.begun.remove(&id);
        ended.ok().map(|(_, output)| output)
    }

    /// Whether one more may begin. Looks at all of them, but only when all places are taken.
    pub(crate) fn room(&self) -> Room {
        if self.begun.len() < self.at_once_max {
            return Room::Free;
        }
        let oldest = self.waiting().map(|(_, begun)| begun).min();
        oldest.map_or(Room::None, |begun| Room::From(begun + self.grace))
    }

    /// Ends the oldest one: its place is free.
    pub(crate) fn shed(&mut self) {
        let oldest = self.waiting().min_by_key(|&(_, begun)| begun).map(|(id, _)| id);
        if let Some((_, task)) = oldest.and_then(|id| self.begun.remove(&id)) {
            task.abort();
        }
    }

    fn waiting(&self) -> impl Iterator<Item = (Id, Instant)> {
        let waiting = self.begun.iter().filter(|(_, (_, task))| !task.is_finished());
        waiting.map(|(&id, &(begun, _))| (id, begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_after_the_grace_and_only_when_all_places_are_taken() {
        let mut half_open = HalfOpen::new(2, GRACE);
        half_open.begin(std::future::pending::<u8>());
        let begun = Instant::now();
        assert_eq!(half_open.room(), Room::Free);
        tokio::time::advance(Duration::from_secs(1)).await;
        half_open.begin(async { 7 });
        assert_eq!(half_open.room(), Room::From(begun + GRACE));
        half_open.shed();
        assert_eq!(half_open.room(), Room::Free);
        let mut ended = [half_open.next().await, half_open.next().await];
        ended.sort();
        assert_eq!(ended, [None, Some(7)]);
        assert!(half_open.is_empty() && half_open.begun.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_ended_is_not_shed() {
        let mut half_open = HalfOpen::new(1, GRACE);
        half_open.begin(async { 7 });
        tokio::task::yield_now().await;
        assert_eq!(half_open.room(), Room::None);
        half_open.shed();
        assert_eq!((half_open.next().await, half_open.room()), (Some(7), Room::Free));
    }
}
