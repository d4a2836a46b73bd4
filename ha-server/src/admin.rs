//! The Admin service: what operators ask, and what servers ask each other about themselves.

use ha_core::{BrokerLoss, BrokerState, BrokerView, DrainOrder, DrainRefusal, LostBy};
use ha_member::distribute::Handle;
use ha_member::{Leader, LeaderChange, Rates};
use ha_proto::v1::{
    self, admin_server::Admin as Service, broker_loss::Reason, broker_status::State,
};
use ha_types::ServerIncarnation;
use tonic::{Request, Response, Status};

use crate::change::{self, changed, members};
use crate::group::Group;
use crate::kick;
use crate::lists;
use crate::run::SOFTWARE;

/// Implements the Admin service.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) handle: Handle,
    pub(crate) group: Group,
    pub(crate) server: ServerIncarnation,
    pub(crate) lease_ms: u64,
}

/// Where a request for the leader is answered.
enum Answerer {
    Here,
    At(v1::admin_client::AdminClient<tonic::transport::Channel>, String),
}

impl Admin {
    /// A request that another server handed on is not handed on again: both could believe that the
    /// other one leads.
    fn leader(&self, forwarded: bool) -> Result<Answerer, Status> {
        match self.group.leader() {
            Leader::Us => Ok(Answerer::Here),
            Leader::Other(leader) if !forwarded => {
                let who = format!("server {} at {}", leader.id, leader.address);
                Ok(Answerer::At(self.group.admin(&leader.address)?, who))
            }
            Leader::Other(_) | Leader::Nobody => {
                Err(Status::unavailable("no leader is known: a majority of the voters must run"))
            }
        }
    }
}

/// The leader's own answer, or that it cannot be reached from here.
fn handed_on<T>(answer: Result<Response<T>, Status>, who: &str) -> Result<Response<T>, Status> {
    use std::error::Error;
    answer.map_err(|status| match status.source() {
        None => status,
        Some(_) => Status::unavailable(format!(
            "{who} leads and cannot be reached from here: {}; ask it with --server",
            status.message()
        )),
    })
}

#[tonic::async_trait]
impl Service for Admin {
    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let looked = self.handle.look().await;
        let snapshot = looked.map_err(|stopped| Status::unavailable(stopped.to_string()))?;
        Ok(Response::new(v1::StatusResponse {
            software: SOFTWARE.to_owned(),
            incarnation: self.server.0,
            uptime_ms: snapshot.uptime_ms,
            lease_ms: self.lease_ms,
            retained_messages: snapshot.retained_messages as u64,
            retained_bytes: snapshot.retained_bytes as u64,
            brokers: snapshot.brokers.iter().map(|(view, rates)| broker(view, *rates)).collect(),
            node: self.group.config().node.0,
            sessions: snapshot.counts.sessions as u64,
            sessions_connected: snapshot.counts.connected as u64,
            subscriptions: snapshot.counts.subscriptions as u64,
            broker_losses: snapshot.losses.iter().map(loss).collect(),
            leader_changes: snapshot.leader_changes.iter().map(change).collect(),
            group: Some(members(&self.group).await),
        }))
    }

    async fn node(
        &self,
        _request: Request<v1::NodeRequest>,
    ) -> Result<Response<v1::NodeResponse>, Status> {
        Ok(Response::new(self.group.describe()))
    }

    async fn members(
        &self,
        _request: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        Ok(Response::new(members(&self.group).await))
    }

    async fn change_members(
        &self,
        request: Request<v1::ChangeMembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => {
                change::members_of(&self.group, request).await?;
                Ok(Response::new(members(&self.group).await))
            }
            Answerer::At(mut leader, who) => {
                let request = v1::ChangeMembersRequest { forwarded: true, ..request };
                handed_on(leader.change_members(request).await, &who)
            }
        }
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => {
                let heir = change::heir(&self.group, request.to).await?;
                changed(self.group.node().transfer_leader(heir).await)?;
                Ok(Response::new(members(&self.group).await))
            }
            Answerer::At(mut leader, who) => {
                let request = v1::TransferLeaderRequest { forwarded: true, ..request };
                handed_on(leader.transfer_leader(request).await, &who)
            }
        }
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => {
                let now = self.handle.snapshot().cluster_time;
                Ok(Response::new(lists::sessions(&self.group, now, &request)))
            }
            Answerer::At(mut leader, who) => {
                let request = v1::ListSessionsRequest { forwarded: true, ..request };
                handed_on(leader.list_sessions(request).await, &who)
            }
        }
    }

    async fn list_subscriptions(
        &self,
        request: Request<v1::ListSubscriptionsRequest>,
    ) -> Result<Response<v1::ListSubscriptionsResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => lists::subscriptions(&self.group, &request).map(Response::new),
            Answerer::At(mut leader, who) => {
                let request = v1::ListSubscriptionsRequest { forwarded: true, ..request };
                handed_on(leader.list_subscriptions(request).await, &who)
            }
        }
    }

    async fn list_retained(
        &self,
        request: Request<v1::ListRetainedRequest>,
    ) -> Result<Response<v1::ListRetainedResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => {
                let now = self.handle.snapshot().cluster_time;
                lists::retained(&self.group, now, &request).map(Response::new)
            }
            Answerer::At(mut leader, who) => {
                let request = v1::ListRetainedRequest { forwarded: true, ..request };
                handed_on(leader.list_retained(request).await, &who)
            }
        }
    }

    async fn kick_client(
        &self,
        request: Request<v1::KickClientRequest>,
    ) -> Result<Response<v1::KickClientResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => {
                kick::client(&self.handle, &self.group, request).await.map(Response::new)
            }
            Answerer::At(mut leader, who) => {
                let request = v1::KickClientRequest { forwarded: true, ..request };
                handed_on(leader.kick_client(request).await, &who)
            }
        }
    }

    async fn drain(
        &self,
        request: Request<v1::DrainRequest>,
    ) -> Result<Response<v1::DrainResponse>, Status> {
        let request = request.into_inner();
        match self.leader(request.forwarded)? {
            Answerer::Here => {
                let order = match request.duty() {
                    v1::drain_request::Duty::Undrain => DrainOrder::Undrain,
                    v1::drain_request::Duty::Drain => {
                        DrainOrder::Drain(Some(request.per_second).filter(|rate| *rate > 0))
                    }
                };
                let answer = self.handle.order(request.broker.clone(), order).await;
                let answer = answer.map_err(|error| Status::unavailable(error.to_string()))?;
                told(&request.broker, answer)?;
                Ok(Response::new(v1::DrainResponse {}))
            }
            Answerer::At(mut leader, who) => {
                let request = v1::DrainRequest { forwarded: true, ..request };
                handed_on(leader.drain(request).await, &who)
            }
        }
    }
}

/// The sentence for the operator.
fn told(name: &str, told: Result<(), DrainRefusal>) -> Result<(), Status> {
    let refused = |why: &str| Err(Status::failed_precondition(format!("broker {name:?} {why}")));
    match told {
        Ok(()) => Ok(()),
        Err(DrainRefusal::Unknown) => refused("is not known; see ha-server status"),
        Err(DrainRefusal::NotAttached) => refused("is not attached"),
        Err(DrainRefusal::TooOld) => refused(
            "has not said that it knows how to drain: its version is too old; stop it instead",
        ),
    }
}

fn broker(view: &BrokerView, rates: Rates) -> v1::BrokerStatus {
    let state = match view.state {
        BrokerState::Attached => State::Attached,
        BrokerState::Detached => State::Detached,
        BrokerState::Lost => State::Lost,
    };
    v1::BrokerStatus {
        name: view.name.to_string(),
        state: state.into(),
        epoch: view.epoch.0,
        address: view.address.clone(),
        software: view.software.clone(),
        lease_age_ms: view.lease_age_ms,
        filters: view.filters as u64,
        queued_bytes: view.queued_bytes as u64,
        published_total: view.published,
        delivered_total: view.delivered,
        unreceived: view.unreceived as u64,
        dropped_total: view.dropped,
        published_per_second: rates.published_per_second,
        delivered_per_second: rates.delivered_per_second,
        draining: view.is_draining,
    }
}

fn loss(loss: &BrokerLoss) -> v1::BrokerLoss {
    let reason = match loss.by {
        LostBy::Lease => Reason::Lease,
        LostBy::Goodbye => Reason::Goodbye,
        LostBy::Replaced => Reason::Replaced,
    };
    v1::BrokerLoss {
        name: loss.name.to_string(),
        epoch: loss.epoch.0,
        at_ms: loss.at.0,
        reason: reason.into(),
        silent_ms: loss.silent_ms,
        sessions: loss.sessions as u64,
        taken_up: loss.taken_up as u64,
        first_ms: loss.first_ms,
        last_ms: loss.last_ms,
    }
}

fn change(change: &LeaderChange) -> v1::LeaderChange {
    v1::LeaderChange {
        at_ms: change.at_unix_ms,
        term: change.term,
        from: change.from.0,
        to: change.to.0,
        gap_ms: change.gap_ms,
    }
}
