//! Threads that verify passwords, behind a bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::hash::Hash;

/// Work for one thread.
pub(crate) struct Job {
    pub(crate) hash: Arc<Hash>,
    pub(crate) password: Bytes,
    pub(crate) answer: oneshot::Sender<bool>,
}

/// The queue's end for those who have passwords. The threads end when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    jobs: SyncSender<Job>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Pool {
    /// With at least one thread, and room for at least one password.
    pub(crate) fn start(threads: usize, queue_max: usize) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(queue_max.max(1));
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            let name = format!("passwords-{number}");
            thread::Builder::new().name(name).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Answers whether the password is right. Never waits for room.
    pub(crate) async fn verify(&self, hash: Arc<Hash>, password: Bytes) -> Result<bool, Full> {
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(Job { hash, password, answer }) {
            Ok(()) => Ok(answered.await.unwrap_or(false)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Full),
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        // Nobody panics while holding it: what follows is outside.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { hash, password, answer }) = next else { return };
        // A client that has gone away meanwhile is not worth the time.
        if !answer.is_closed() {
            // It may go away now as well.
            let _ = answer.send(hash.verify(&password));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PasswordFile;

    fn hash() -> Arc<Hash> {
        let file = PasswordFile::parse("p", include_str!("../tests/passwords")).unwrap();
        file.hash("alice").unwrap()
    }

    #[tokio::test]
    async fn password_is_verified_by_a_thread_of_the_pool() {
        let pool = Pool::start(1, 4).unwrap();
        assert_eq!(pool.verify(hash(), Bytes::from_static(b"secret word")).await, Ok(true));
        assert_eq!(pool.verify(hash(), Bytes::from_static(b"wrong")).await, Ok(false));
    }

    #[tokio::test]
    async fn full_queue_refuses_at_once() {
        // No thread takes anything out of this queue.
        let (jobs, _queue) = sync_channel(1);
        let pool = Pool { jobs };
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.verify(hash(), Bytes::new()).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(pool.verify(hash(), Bytes::new()).await, Err(Full));
        waiting.abort();
    }
}
