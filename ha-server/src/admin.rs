//! The Admin service: what operators ask.

use ha_core::{BrokerState, BrokerView};
use ha_proto::v1::{self, admin_server::Admin as Service, broker_status::State};
use ha_types::ServerIncarnation;
use tonic::{Request, Response, Status};

use crate::distribute::Handle;
use crate::rates::Rates;
use crate::run::SOFTWARE;

/// Implements the Admin service.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) handle: Handle,
    pub(crate) server: ServerIncarnation,
    pub(crate) lease_ms: u64,
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
        }))
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
    }
}
