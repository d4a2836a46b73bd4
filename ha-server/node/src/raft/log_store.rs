//! The log as Raft wants to see it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use bytes::Bytes;
use futures_util::{Stream, stream};
use ha_proto::raft as proto;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use prost::Message;
use tokio::sync::oneshot;

use super::types::{Command, Entry, LogId, Types, Vote};
use super::wire;
use crate::log::{Log, Payload, Position};

/// Bytes of entries that are read at once to be applied.
const APPLY_BYTES: usize = 4 << 20;

/// A handle to the log. All clones read and write the same.
#[derive(Clone)]
pub(crate) struct LogStore {
    pub(crate) log: Log,
    /// Bytes of entries that go into one request to a follower.
    pub(crate) append_bytes_max: usize,
}

fn put(entry: Entry) -> (Position, Payload) {
    let at = wire::position(&entry.log_id);
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        // The log keeps it for long, and it may share the storage of a whole request.
        EntryPayload::Normal(Command(bytes)) => Payload::Command(Bytes::copy_from_slice(&bytes)),
        EntryPayload::Membership(membership) => {
            Payload::Membership(wire::put_membership(&membership).encode_to_vec().into())
        }
    };
    (at, payload)
}

fn take((at, payload): (Position, Payload)) -> io::Result<Entry> {
    let payload = match payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Command(bytes) => EntryPayload::Normal(Command(bytes)),
        Payload::Membership(bytes) => EntryPayload::Membership(take_membership(at, bytes)?),
    };
    Ok(Entry { log_id: wire::log_id(at), payload })
}

fn take_membership(at: Position, bytes: Bytes) -> io::Result<super::types::Membership> {
    let damaged = |reason: String| {
        let reason = format!("the membership in entry {} cannot be read: {reason}", at.index);
        io::Error::new(io::ErrorKind::InvalidData, reason)
    };
    let message = proto::Membership::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    wire::take_membership(message).map_err(|error| damaged(error.to_string()))
}

fn indices(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl LogStore {
    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        self.log.read(range, bytes_max)?.into_iter().map(take).collect()
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        self.read(indices(&range), usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, self.append_bytes_max)
    }

    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (log, range) = (self.clone(), indices(&range));
        let pieces = stream::unfold((log, range), async |(log, range)| {
            if range.is_empty() {
                return None;
            }
            match log.read(range.clone(), APPLY_BYTES) {
                // What is not appended yet is left out.
                Ok(entries) => {
                    let rest = entries.last()?.log_id.index() + 1..range.end;
                    let entries: Vec<_> = entries.into_iter().map(Ok).collect();
                    Some((stream::iter(entries), (log, rest)))
                }
                Err(error) => Some((stream::iter(vec![Err(error)]), (log, 0..0))),
            }
        });
        futures_util::StreamExt::flatten(pieces)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.log.state().vote.map(wire::vote_of))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(wire::log_id),
            last_log_id: state.last.map(wire::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (told, flushed) = oneshot::channel();
        let done = Box::new(move |result| {
            let _ = told.send(result);
        });
        self.log.save_vote(wire::vote_record(vote), done)?;
        flushed.await.map_err(|_| io::Error::other("the log is closed"))?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        committed.map_or(Ok(()), |id| self.log.save_committed(wire::position(&id)))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.state().committed.map(wire::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let done = Box::new(|result| callback.io_completed(result));
        self.log.append(entries.into_iter().map(put), done)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.log.truncate_after(last.map(|id| wire::position(&id)))
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.log.purge(wire::position(&upto))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_keeps_does_not_keep_the_request_it_came_in() {
        let request = Bytes::from(vec![7; 8_192]);
        let at = Position { term: 1, index: 1 };
        let payload = EntryPayload::Normal(Command(request.slice(..3)));
        let kept = put(Entry { log_id: wire::log_id(at), payload });
        assert!(request.is_unique());
        assert_eq!(kept, (at, Payload::Command(Bytes::from_static(&[7; 3]))));
    }
}
