//! Runs a broker until it is told to stop, or until its engine dies.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker_core::{Config, Mode, Plugin};
use ha_shell::bind::{BindError, bind};
use ha_shell::health::{self, CheckState, Health, Liveness};
use ha_types::{ClusterMillis, Incarnation};
use rumqttd_host::{AdmitAll, Host, HostConfig, PluginPorts, ProbeError, StartError};
use tokio::sync::mpsc;
use tokio::time;

use crate::config::BrokerConfig;
use crate::metrics::metrics;
use crate::plugin::{self, COMMANDS_AT_ONCE, HostEnds};

/// Program and version, as ha-server and operators see it.
const SOFTWARE: &str = concat!("ha-broker ", env!("CARGO_PKG_VERSION"));

/// Publishes of all clients that wait for the plugin; then the clients wait.
const PUBLISHES_MAX: usize = 1_024;

/// Subscriptions and ends of sessions that wait for the plugin.
const EVENTS_MAX: usize = 1_024;

/// Shortest and longest delay between attempts to attach. A restarted ha-server is found within
/// half a second.
const BACKOFF_MS: (u64, u64) = (50, 500);

/// How often the engine must show that it works.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// How long it may take to disconnect the clients.
const CLIENTS_GOODBYE_MAX: Duration = Duration::from_secs(5);

/// How long /livez says why, before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// Why the broker stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The engine cannot start.
    #[error("start the MQTT engine")]
    Engine(#[from] StartError),
    /// The engine does not work any more.
    #[error("the MQTT engine died: {0}")]
    EngineDied(String),
    /// A task that must not end has ended.
    #[error("the plugin stopped working")]
    Plugin,
}

/// Serves until `shutdown` resolves, then disconnects the clients and says goodbye to ha-server.
///
/// # Errors
/// [`RunError`] when it cannot start, or cannot go on.
pub async fn run(
    config: BrokerConfig,
    shutdown: impl Future<Output = &'static str>,
) -> Result<(), RunError> {
    let listener = bind(config.listen, "PORT_NO").await?;
    let http = bind(config.http, "HTTP_PORT").await?;
    let health = Health::new(&["listener", "engine", "cluster"]);
    let (ports, ends) = ports();
    let host = rumqttd_host::start(host_config(&config), ports, Arc::new(AdmitAll)).await?;
    tokio::spawn(host.entrance().accept(listener));
    let host = Arc::new(host);
    let plugin = Plugin::new(core_config(&config));
    let mut plugin = plugin::start(plugin, config.ha_servers.clone(), ends, health.clone());
    let counted = Arc::clone(&host);
    let metrics = metrics(plugin.snapshot.clone(), move || counted.stats());
    let (stop_http, http_stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(health::serve(http, health.clone(), metrics, http_stopped));
    let mode = if config.ha_servers.is_empty() { "alone" } else { "clustered" };
    tracing::info!(name = %config.name, listen = %config.listen, http = %config.http, mode, "ha-broker runs");

    let serving = async {
        hold(&config, &mut plugin.loaded, &health).await;
        host.open();
        health.set_check("listener", CheckState::Passing);
        tokio::select! {
            failed = watch(&host, &health) => failed,
            () = host.died() => ProbeError::Died,
        }
    };
    let ended = tokio::select! {
        signal = shutdown => Ok(signal),
        died = serving => Err(RunError::EngineDied(died.to_string())),
        _ = &mut plugin.task => Err(RunError::Plugin),
    };
    let signal = match ended {
        Ok(signal) => signal,
        Err(error) => {
            health.set_liveness(Liveness::Stuck(error.to_string()));
            time::sleep(LAST_WORDS).await;
            return Err(error);
        }
    };
    tracing::info!(signal, "stopping");
    health.set_check("listener", CheckState::Failing("stopping".into()));
    host.shutdown(CLIENTS_GOODBYE_MAX).await;
    plugin.stop().await;
    // The HTTP server may have ended by itself.
    let _ = stop_http.send(());
    tracing::info!("stopped");
    Ok(())
}

/// Waits until the broker's copy of the retained messages is complete, for a bounded time: clients
/// that come earlier would miss some.
async fn hold(
    config: &BrokerConfig,
    loaded: &mut tokio::sync::watch::Receiver<bool>,
    health: &Health,
) {
    let attached = time::timeout(config.attach_hold, loaded.wait_for(|loaded| *loaded));
    if attached.await.is_err() {
        let hold = config.attach_hold;
        tracing::warn!(
            "the retained messages did not come from ha-server within {hold:?}: serving without"
        );
    }
    health.set_check("cluster", CheckState::Passing);
}

/// Probes the engine until it fails.
async fn watch(host: &Host, health: &Health) -> ProbeError {
    loop {
        if let Err(error) = host.probe().await {
            return error;
        }
        health.set_liveness(Liveness::Alive);
        health.set_check("engine", CheckState::Passing);
        time::sleep(PROBE_EVERY).await;
    }
}

fn ports() -> (PluginPorts, HostEnds) {
    let (publishes, publishes_rx) = mpsc::channel(PUBLISHES_MAX);
    let (events, events_rx) = mpsc::channel(EVENTS_MAX);
    let (commands, commands_rx) = mpsc::channel(COMMANDS_AT_ONCE * 4);
    let ports = PluginPorts { publishes, events, commands: commands_rx };
    (ports, HostEnds { publishes: publishes_rx, events: events_rx, commands })
}

fn host_config(config: &BrokerConfig) -> HostConfig {
    HostConfig {
        connections_max: config.connections_max,
        sessions_max: config.sessions_max,
        packet_bytes_max: config.packet_bytes_max,
        filters_max: config.filters_max,
        ..HostConfig::default()
    }
}

fn core_config(config: &BrokerConfig) -> Config {
    let unix_ms = unix_time_ms();
    // Unlike in every earlier run on this machine, and unlike another broker with the same name.
    let incarnation = (unix_ms << 20) | u64::from(std::process::id() & 0xF_FFFF);
    Config {
        mode: match config.ha_servers.len() {
            0 => Mode::Alone,
            addresses => Mode::Clustered(addresses),
        },
        name: config.name.clone(),
        incarnation: Incarnation(incarnation),
        software: SOFTWARE.to_owned(),
        cluster_time_at_zero: ClusterMillis(unix_ms),
        seed: incarnation,
        backoff_ms: BACKOFF_MS,
        outbox_max: config.outbox_max,
        outbox_bytes_max: config.outbox_bytes_max,
        filters_max: config.filters_max,
        retained_max: config.retained_max,
        retained_bytes_max: config.retained_bytes_max,
    }
}

/// Wall time; zero when the clock says it is before 1970.
fn unix_time_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).expect("fits for 500 million years")
}
