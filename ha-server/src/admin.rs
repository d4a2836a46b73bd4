//! The Admin service: what operators ask, and what servers ask each other about themselves.

use ha_core::{BrokerState, BrokerView, DrainOrder, DrainRefusal};
use ha_member::distribute::Handle;
use ha_member::{Leader, Rates};
use ha_proto::v1::{self, admin_server::Admin as Service, broker_status::State};
use ha_types::ServerIncarnation;
use tonic::{Request, Response, Status};

use crate::change::{self, changed, members};
use crate::group::Group;
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
        dropped_total: view.dropped,
        published_per_second: rates.published_per_second,
        delivered_per_second: rates.delivered_per_second,
        draining: view.is_draining,
    }
}
