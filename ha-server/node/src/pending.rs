//! The answer to a command that was handed over.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;

use crate::error::ProposeError;
use crate::machine::Machine;
use crate::node::leader;
use crate::raft::types::Types;

/// A command that is on its way. Dropping it does not take the command back.
#[must_use = "the outcome comes to whoever awaits this"]
pub struct Pending<M: Machine> {
    answer: oneshot::Receiver<ClientWriteResult<Types>>,
    outcome: PhantomData<fn() -> M::Outcome>,
}

impl<M: Machine> Pending<M> {
    pub(crate) fn new(answer: oneshot::Receiver<ClientWriteResult<Types>>) -> Self {
        Self { answer, outcome: PhantomData }
    }
}

impl<M: Machine> fmt::Debug for Pending<M> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl<M: Machine> Future for Pending<M> {
    type Output = Result<(u64, M::Outcome), ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        Poll::Ready(match answer {
            Ok(Ok(written)) => {
                let outcome = written.data.0.and_then(|outcome| outcome.downcast().ok());
                let outcome = outcome.expect("a command is answered with the machine's outcome");
                Ok((written.log_id.index(), *outcome))
            }
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: leader(&forward) })
            }
            Ok(Err(ClientWriteError::LogEntryDiscarded(forward))) => {
                Err(ProposeError::Unknown { leader: leader(&forward) })
            }
            Ok(Err(
                ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_),
            ))
            | Err(_) => Err(ProposeError::Stopped),
        })
    }
}
