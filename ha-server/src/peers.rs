//! Raft's requests between ha-servers, as gRPC carries them: to others, and from others.
//!
//! Knows nothing of what they say. They have connections of their own, so that they never wait
//! behind the traffic of brokers, and two of them, so that a heartbeat does not wait behind a part
//! of a snapshot.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use ha_member::{FeatureLevel, GROUP, Level, StateNode};
use ha_node::{Failover, Member, Unreachable};
use ha_proto::peers::peers_client::PeersClient;
use ha_proto::peers::peers_server::{Peers as Service, PeersServer};
use ha_proto::peers::{RaftRequest, RaftResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use crate::channels::Channels;
use crate::reach::Reach;

/// Bytes of a request or response; `peers.proto` says why.
const BYTES_MAX: usize = 48 << 20;

/// Larger requests take the second connection. Heartbeats and votes have some hundred bytes.
const SMALL_BYTES_MAX: usize = 16 << 10;

/// Requests that are read or worked on; one more is refused. Each member has a few at a time.
const REQUESTS_MAX: usize = 64;

/// The other members.
#[derive(Debug)]
pub(crate) struct Peers {
    small: Channels,
    large: Channels,
    level: Arc<Level>,
    reach: Mutex<Reach>,
}

impl Peers {
    pub(crate) fn new(failover: Failover, level: Arc<Level>) -> Self {
        let (small, large) = (Channels::new(failover), Channels::new(failover));
        Self { small, large, level, reach: Mutex::default() }
    }
}

/// A request under way. Who gives up waiting drops it.
struct Asked<'a> {
    reach: &'a Mutex<Reach>,
    member: &'a Member,
    answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let Self { reach, member: Member { id, address }, answered } = self;
        let mut reach = reach.lock().expect("nobody panics while holding it");
        if !*answered {
            if reach.unanswered(*id, Instant::now()) {
                tracing::warn!(server = %id, %address, "does not answer");
            }
        } else if let Some(silence) = reach.answered(*id, Instant::now()) {
            let silent_s = silence.as_secs();
            tracing::info!(server = %id, %address, silent_s, "answers again");
        }
    }
}

impl ha_node::Peers for Peers {
    async fn send(&self, to: &Member, request: Bytes) -> Result<Bytes, Unreachable> {
        let is_small = request.len() <= SMALL_BYTES_MAX;
        let channels = if is_small { &self.small } else { &self.large };
        let channel = channels.to(&to.address);
        let channel = channel.map_err(|_| Unreachable(format!("{}: no address", to.address)))?;
        let mut client = PeersClient::new(channel)
            .max_decoding_message_size(BYTES_MAX)
            .max_encoding_message_size(BYTES_MAX);
        let feature_level = self.level.now().0;
        let mut asked = Asked { reach: &self.reach, member: to, answered: false };
        let sent = client.send(RaftRequest { group: GROUP, body: request, feature_level }).await;
        asked.answered = sent.is_ok();
        sent.map(|response| response.into_inner().body)
            .map_err(|status| Unreachable(format!("{}: {}", to.address, status.message())))
    }
}

/// Hands requests of others to the node.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    node: Arc<StateNode>,
}

/// Takes a place for each request before it is read.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Semaphore>);

/// A place, until the request is dropped.
#[derive(Clone)]
struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Interceptor for Places {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let permit = Arc::clone(&self.0).try_acquire_owned();
        let permit = permit.map_err(|_| {
            Status::resource_exhausted(format!("{REQUESTS_MAX} requests are worked on"))
        })?;
        request.extensions_mut().insert(Place { _permit: Arc::new(permit) });
        Ok(request)
    }
}

/// The service for other ha-servers.
pub(crate) fn service(node: Arc<StateNode>) -> InterceptedService<PeersServer<Inbox>, Places> {
    let server = PeersServer::new(Inbox { node })
        .max_decoding_message_size(BYTES_MAX)
        .max_encoding_message_size(BYTES_MAX);
    InterceptedService::new(server, Places(Arc::new(Semaphore::new(REQUESTS_MAX))))
}

#[tonic::async_trait]
impl Service for Inbox {
    async fn send(&self, request: Request<RaftRequest>) -> Result<Response<RaftResponse>, Status> {
        let (_, _place, RaftRequest { group, body, feature_level }) = request.into_parts();
        if group != GROUP {
            return Err(Status::unavailable(format!("group {group} is not here")));
        }
        if FeatureLevel(feature_level) > FeatureLevel::NEWEST {
            return Err(Status::failed_precondition(format!(
                "the group has feature level {feature_level}, and this ha-server understands {}: \
                 upgrade it",
                FeatureLevel::NEWEST
            )));
        }
        Ok(Response::new(RaftResponse { body: self.node.receive(body).await }))
    }
}
