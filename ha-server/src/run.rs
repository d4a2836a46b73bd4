//! Runs ha-server until it is told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ha_core::Config;
use ha_member::distribute::{self, Handle, Settings};
use ha_member::{Leader, incarnation};
use ha_node::{StartError, Status};
use ha_proto::v1::admin_server::AdminServer;
use ha_proto::v1::distributor_server::DistributorServer;
use ha_shell::bind::{BindError, bind};
use ha_shell::health::{self, CheckState, Health, Liveness};
use ha_types::limits::FRAME_BYTES_MAX;
use ha_types::{ClusterMillis, ServerIncarnation};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time;
use tonic::transport::server::Server;

use crate::admin::Admin;
use crate::config::{Begin, ServerConfig};
use crate::group::Group;
use crate::metrics::metrics;
use crate::streams::Streams;
use crate::{accept, balance, change, peers, upgrade};

/// Program and version, as brokers and operators see it.
pub(crate) const SOFTWARE: &str = concat!("ha-server ", env!("CARGO_PKG_VERSION"));

/// How long goodbyes may take.
const GOODBYE_MAX: Duration = Duration::from_secs(3);

/// How often a silent connection is asked whether it is still there, and how long the answer may
/// take: as long as a broker that is behind may write nothing. Leases find dead brokers sooner.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a server that is alone may take to lead before it serves all the same.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// How long handing the lead to another server may take before this one stops all the same.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// How often the distributor must show that it works, and how long it may take.
const WATCH: Duration = Duration::from_secs(1);
const STUCK: Duration = Duration::from_secs(5);

/// Why ha-server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data directory cannot be used.
    #[error("DATA_DIR = {0}")]
    DataDir(String, #[source] io::Error),
    /// The node does not start.
    #[error("DATA_DIR = {0}")]
    Node(String, #[source] StartError),
    /// The node has stopped. What it acknowledged is on disk.
    #[error("the node stopped: {0}")]
    Fault(String),
    /// Serving gRPC failed.
    #[error("serve brokers")]
    Serve(#[from] tonic::transport::Error),
    /// A task that must not end has ended.
    #[error("the distributor stopped working")]
    Distributor,
}

/// The sockets of ha-server, open.
#[derive(Debug)]
pub struct Listeners {
    /// For brokers.
    pub grpc: TcpListener,
    /// For /livez, /readyz and /metrics.
    pub http: TcpListener,
}

impl Listeners {
    /// Opens the configured ports.
    ///
    /// # Errors
    /// A sentence that names the port and what to do.
    pub async fn bind(config: &ServerConfig) -> Result<Self, BindError> {
        let grpc = bind(config.listen, "HA_port").await?;
        Ok(Self { grpc, http: bind(config.http, "HTTP_PORT").await? })
    }
}

/// Serves until `shutdown` resolves, then hands over the lead and says goodbye to the brokers.
///
/// # Errors
/// [`RunError`] when it cannot start, or cannot go on.
pub async fn run(
    config: ServerConfig,
    listeners: Listeners,
    shutdown: impl Future<Output = &'static str>,
) -> Result<(), RunError> {
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let (server, group) = open(&config, &listeners).await?;
    let Listeners { grpc, http } = listeners;
    settle(&group).await;
    let settings = Settings {
        config: core_config(&config, server),
        limits: config.limits,
        strategies: config.strategies.clone(),
    };
    let (handle, mut distributor) =
        distribute::start(Arc::clone(group.node()), group.config().node, settings);
    let health = Health::new(&["listener", "distributor", "leader"]);
    let mut background = JoinSet::new();
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    let metrics = metrics(handle.clone(), group.clone());
    background.spawn(health::serve(http, health.clone(), metrics, http_stopped));
    background.spawn(watch(handle.clone(), health.clone()));
    background.spawn(watch_leader(group.clone(), health.clone()));
    background.spawn(balance::run(group.clone()));
    background.spawn(upgrade::run(group.clone(), config.strategies.clone()));

    let (stop_serving, serving_stopped) = oneshot::channel::<()>();
    let admin =
        Admin { handle: handle.clone(), group: group.clone(), server, lease_ms: config.lease_ms };
    let serving = serve(grpc, handle.clone(), admin, serving_stopped);
    let mut serving = std::pin::pin!(serving);
    health.set_check("listener", CheckState::Passing);
    tracing::info!(
        listen = %config.listen, http = %config.http, incarnation = %server,
        cluster = config.group.cluster, node = %config.group.node, "ha-server runs"
    );

    let ended = tokio::select! {
        signal = shutdown => Ok(signal),
        served = &mut serving => Err(served.map_or_else(RunError::Serve, |()| RunError::Distributor)),
        _ = &mut distributor => Err(RunError::Distributor),
        fault = fault(&group) => Err(RunError::Fault(fault)),
    };
    let signal = ended?;
    tracing::info!(signal, "stopping");
    health.set_check("listener", CheckState::Failing("stopping".into()));
    hand_over(&group).await;
    handle.shut_down().await;
    let _ = stop_serving.send(());
    // A broker that does not take its goodbye must not keep us.
    let _ = time::timeout(GOODBYE_MAX, serving).await;
    distributor.abort();
    let _ = stop_http.send(());
    if let Err(error) = group.node().shutdown().await {
        tracing::warn!(%error, "the state was not saved; it is in the log");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Takes the number of this run and starts the node.
async fn open(
    config: &ServerConfig,
    listeners: &Listeners,
) -> Result<(ServerIncarnation, Group), RunError> {
    let data_dir = config.data_dir.display().to_string();
    let server = incarnation::next(&config.data_dir);
    let server = server.map_err(|error| RunError::DataDir(data_dir.clone(), error))?;
    // The port that was opened: a test lets the system choose.
    let mut address = listeners.grpc.local_addr().unwrap_or(config.listen);
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    let group = Group::start(config.group.clone(), &config.data_dir, address.to_string()).await;
    Ok((server, group.map_err(|error| RunError::Node(data_dir, error))?))
}

/// A server that is alone leads at once: brokers need not hear before that nobody does.
async fn settle(group: &Group) {
    if group.config().begin == Begin::Alone {
        let mut status = group.watch();
        let settled = |status: &Status| status.is_leader || status.voters.len() > 1;
        // An error means that the node has stopped, which ends serving too.
        let _ = time::timeout(SETTLE_MAX, status.wait_for(settled)).await;
    }
}

/// Serves gRPC until `stopped` resolves and all is written.
async fn serve(
    listener: TcpListener,
    handle: Handle,
    admin: Admin,
    stopped: oneshot::Receiver<()>,
) -> Result<(), tonic::transport::Error> {
    let peers = peers::service(Arc::clone(admin.group.node()));
    let brokers = DistributorServer::new(Streams::new(handle, admin.lease_ms))
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER_MAX))
        .add_service(brokers)
        .add_service(AdminServer::new(admin))
        .add_service(peers)
        .serve_with_incoming_shutdown(accept::connections(listener), async { drop(stopped.await) })
        .await
}

/// A planned stop costs brokers less than an election does.
async fn hand_over(group: &Group) {
    if group.leader() != Leader::Us || group.status().voters.len() < 2 {
        return;
    }
    let transfer = async {
        let heir = change::heir(group, 0).await?;
        change::changed(group.node().transfer_leader(heir).await)
    };
    match time::timeout(HAND_OVER_MAX, transfer).await {
        Ok(Ok(())) => tracing::info!("handed over the lead"),
        Ok(Err(status)) => tracing::warn!("did not hand over the lead: {}", status.message()),
        Err(_) => tracing::warn!("did not hand over the lead in time"),
    }
}

/// Resolves when the node has stopped by itself.
async fn fault(group: &Group) -> String {
    let mut status = group.watch();
    match status.wait_for(|status| status.fault.is_some()).await {
        Ok(status) => status.fault.clone().unwrap_or_default(),
        Err(_) => "it panicked".to_owned(),
    }
}

fn core_config(config: &ServerConfig, server: ServerIncarnation) -> Config {
    Config {
        server,
        software: SOFTWARE.to_owned(),
        // Each leadership has its own.
        wall_time: ClusterMillis(0),
        lease_ms: config.lease_ms,
        heartbeat_ms: config.heartbeat_ms,
        fan_out: config.fan_out,
        brokers_max: config.brokers_max,
        filters_max: config.filters_max,
        queue_bytes: config.queue_bytes,
        stall_ms: config.stall_ms,
        publish_window: config.publish_window,
    }
}

/// Asks the distributor's task every second.
async fn watch(handle: Handle, health: Health) {
    loop {
        match time::timeout(STUCK, handle.look()).await {
            Ok(Ok(_)) => {
                health.set_liveness(Liveness::Alive);
                health.set_check("distributor", CheckState::Passing);
            }
            Ok(Err(_)) => return,
            Err(_) => {
                let reason = format!("the distributor did not answer for {} s", STUCK.as_secs());
                health.set_liveness(Liveness::Stuck(reason.clone()));
                health.set_check("distributor", CheckState::Failing(reason));
            }
        }
        time::sleep(WATCH).await;
    }
}

/// Ready is who knows a leader: brokers that come here are sent to it. That we lead, or no more, is said by
/// the distributor.
async fn watch_leader(group: Group, health: Health) {
    let mut status = group.watch();
    let mut said = Leader::Nobody;
    loop {
        let leader = group.leader();
        let check = match leader {
            Leader::Us | Leader::Other(_) => CheckState::Passing,
            Leader::Nobody => CheckState::Failing("no leader is known".to_owned()),
        };
        health.set_check("leader", check);
        health.set_field("leading", leader == Leader::Us);
        if leader != said {
            match &leader {
                Leader::Us => {}
                Leader::Other(leader) => {
                    tracing::info!(server = %leader.id, address = %leader.address, "follows")
                }
                Leader::Nobody => tracing::warn!("no leader is known"),
            }
            said = leader;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
