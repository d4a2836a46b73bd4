//! Who comes in: the seam between the engine's question and whatever answers it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use broker_core::access::Access;
use broker_core::engine::{Credentials, Verdict};

use crate::host::Origin;

/// An answer that is on its way. Dropped when the client goes away.
pub type Judging = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// Decides who comes in, and who may do what.
pub trait Admission: Debug + Send + Sync {
    /// Judges one attempt. Takes no processor time of the caller's thread to speak of: hashing is
    /// done elsewhere.
    fn judge(&self, origin: &Origin, credentials: Credentials) -> Judging;

    /// The rules as they are; `None`: everybody may do everything. Asked once per connection and
    /// authentication.
    fn access(&self) -> Option<Arc<dyn Access>>;
}
