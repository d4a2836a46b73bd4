//! What a client's task has in common with publishers: who gets to it first does what its letters ask for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Task;
use crate::exchange::{Exchange, lock};
use crate::host::Entry;
use crate::mailbox::Attendant;

/// Nothing is here when the client is gone.
struct Shared<S>(Mutex<Option<Task<S>>>);

/// Serves one socket until its end, which it tells by dropping `guard`. To be spawned as it is: a
/// future that awaits it, or an `async fn`, has room twice for what it is called with.
pub(crate) fn serve<S>(
    exchange: Arc<Exchange>,
    stream: S,
    entry: Entry,
    guard: impl Send + 'static,
) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let task = Task::new(exchange, stream, entry);
    let mailbox = Arc::clone(&task.mailbox);
    let shared = Arc::new(Shared(Mutex::new(Some(task))));
    mailbox.set_attendant(Arc::downgrade(&shared) as Weak<dyn Attendant>);
    async move {
        poll_fn(|context| shared.poll(context)).await;
        shared.leave().await;
        drop(guard);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Ready at its end.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        lock(&self.0).as_mut().map_or(Poll::Ready(()), |task| task.poll(context))
    }

    /// What is left to do after the end. Boxed: its room is needed then only.
    fn leave(&self) -> Pin<Box<impl Future<Output = ()> + use<S>>> {
        let task = lock(&self.0).take();
        Box::pin(async move {
            let Some(mut task) = task else { return };
            task.leave();
            task.farewell().await;
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Attendant for Shared<S> {
    fn attend(&self) -> bool {
        // One that is locked is at work already.
        let Ok(mut task) = self.0.try_lock() else { return false };
        task.as_mut().is_some_and(Task::attend)
    }
}
