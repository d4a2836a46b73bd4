//! Runs ha-server until it is told to stop.

use std::future::Future;
use std::io;
use std::time::Duration;

use ha_core::{Config, Distributor};
use ha_proto::v1::admin_server::AdminServer;
use ha_proto::v1::distributor_server::DistributorServer;
use ha_shell::bind::{BindError, bind};
use ha_shell::health::{self, CheckState, Health, Liveness};
use ha_types::limits::FRAME_BYTES_MAX;
use ha_types::{BrokerEpoch, ClusterMillis};
use tokio::net::TcpListener;
use tokio::time;
use tonic::transport::server::Server;

use crate::accept;
use crate::admin::Admin;
use crate::config::ServerConfig;
use crate::distribute::{self, Handle};
use crate::incarnation;
use crate::metrics::metrics;
use crate::streams::Streams;

/// Program and version, as brokers and operators see it.
pub(crate) const SOFTWARE: &str = concat!("ha-server ", env!("CARGO_PKG_VERSION"));

/// How long goodbyes may take.
const GOODBYE_MAX: Duration = Duration::from_secs(3);

/// How often a silent connection is asked whether it is still there, and how long the answer may
/// take: as long as a broker that is behind may write nothing. Leases find dead brokers sooner.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(10);

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

/// Serves until `shutdown` resolves, then says goodbye to the brokers.
///
/// # Errors
/// [`RunError`] when it cannot start, or cannot go on.
pub async fn run(
    config: ServerConfig,
    listeners: Listeners,
    shutdown: impl Future<Output = &'static str>,
) -> Result<(), RunError> {
    let Listeners { grpc, http } = listeners;
    let data_dir = config.data_dir.display().to_string();
    let server =
        incarnation::next(&config.data_dir).map_err(|error| RunError::DataDir(data_dir, error))?;
    let (handle, mut distributor) =
        distribute::start(Distributor::new(core_config(&config, server)));
    let health = Health::new(&["listener", "distributor"]);
    let (stop_http, http_stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(health::serve(http, health.clone(), metrics(handle.clone()), http_stopped));
    tokio::spawn(watch(handle.clone(), health.clone()));

    let (stop_serving, serving_stopped) = tokio::sync::oneshot::channel::<()>();
    let admin = Admin { handle: handle.clone(), server, lease_ms: config.lease_ms };
    let service = DistributorServer::new(Streams::new(handle.clone(), config.lease_ms))
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let serving = Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER_MAX))
        .add_service(service)
        .add_service(AdminServer::new(admin))
        .serve_with_incoming_shutdown(accept::connections(grpc), async {
            drop(serving_stopped.await)
        });
    let mut serving = std::pin::pin!(serving);
    health.set_check("listener", CheckState::Passing);
    tracing::info!(listen = %config.listen, http = %config.http, incarnation = %server, "ha-server runs");

    let ended = tokio::select! {
        signal = shutdown => Ok(signal),
        served = &mut serving => Err(served.map_or_else(RunError::Serve, |()| RunError::Distributor)),
        _ = &mut distributor => Err(RunError::Distributor),
    };
    let signal = ended?;
    tracing::info!(signal, "stopping");
    health.set_check("listener", CheckState::Failing("stopping".into()));
    handle.shut_down().await;
    let _ = stop_serving.send(());
    // A broker that does not take its goodbye must not keep us.
    let _ = time::timeout(GOODBYE_MAX, serving).await;
    distributor.abort();
    let _ = stop_http.send(());
    tracing::info!("stopped");
    Ok(())
}

fn core_config(config: &ServerConfig, server: ha_types::ServerIncarnation) -> Config {
    Config {
        server,
        software: SOFTWARE.to_owned(),
        cluster_time_at_zero: ClusterMillis(incarnation::unix_time_ms()),
        lease_ms: config.lease_ms,
        heartbeat_ms: config.heartbeat_ms,
        fan_out: config.fan_out,
        brokers_max: config.brokers_max,
        filters_max: config.filters_max,
        queue_bytes: config.queue_bytes,
        stall_ms: config.stall_ms,
        publish_window: config.publish_window,
        retained_max: config.retained_max,
        retained_bytes_max: config.retained_bytes_max,
    }
}

/// Asks the distributor every second, as a broker with an epoch that never was.
async fn watch(handle: Handle, health: Health) {
    loop {
        match time::timeout(STUCK, handle.heartbeat(BrokerEpoch(0))).await {
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
