//! Runs a broker until it is told to stop, or until its engine dies.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker_auth::{AuthError, Gate};
use broker_core::standing::{self, Agent, WhenIsolated};
use broker_core::{Config, HeldBy, Mode, Plugin};
use broker_listen::Tls;
use ha_member::StoreError;
use ha_member::alone::{Alone, AloneError};
use ha_shell::bind::{BindError, bind};
use ha_shell::health::{self, CheckState, Health, Liveness};
use ha_shell::signals;
use ha_types::{ClusterMillis, Incarnation};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time;

use crate::config::{BrokerConfig, HostKind};
use crate::engine::{Engine, PluginPorts, StartError};
use crate::measure::Gauges;
use crate::metrics::metrics;
use crate::plugin::{self, COMMANDS_AT_ONCE, HostEnds, Reach};
use crate::ports::{OpenPorts, PortError, Ports};
use crate::pulse::Proofs;
use crate::steward::{Order, Orders, Says, Sights};
use crate::{agent, alone, measure, pulse, steward};

/// Program and version, as ha-server and operators see it.
pub(crate) const SOFTWARE: &str = concat!("ha-broker ", env!("CARGO_PKG_VERSION"));

/// Publishes of all clients that wait for the plugin; then the clients wait.
const PUBLISHES_MAX: usize = 1_024;

/// Subscriptions and ends of sessions that wait for the plugin.
const EVENTS_MAX: usize = 1_024;

/// Shortest and longest delay between attempts to attach, after a first one at once. A new leader is
/// elected in half a second and found in a quarter more.
const BACKOFF_MS: (u64, u64) = (40, 250);

/// Bytes of a unit of [`HostPublish::weight`](broker_core::host::HostPublish::weight).
const WEIGHT_BYTES: usize = 1_024;

/// How long it may take to disconnect the clients.
const CLIENTS_GOODBYE_MAX: Duration = Duration::from_secs(5);

/// How long /livez says why, before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// Why the broker stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The HTTP port cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A port for clients cannot be listened on.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A file of `[AUTHENTICATION]` is wrong.
    #[error(transparent)]
    Authentication(#[from] AuthError),
    /// The engine cannot start.
    #[error("start the MQTT engine")]
    Engine(#[from] StartError),
    /// The data directory cannot be used.
    #[error("DATA_DIR = {0}")]
    State(String, #[source] AloneError),
    /// The state in this process has stopped. What was acknowledged is on disk.
    #[error("the state of this broker stopped: {0}")]
    StateStopped(String),
    /// The engine does not work any more.
    #[error("the MQTT engine died: {0}")]
    EngineDied(String),
    /// A task that must not end has ended.
    #[error("the plugin stopped working")]
    Plugin,
}

/// A broker whose ports are bound and not open.
struct Running {
    host: Arc<Engine>,
    plugin: plugin::Handle,
    state: Option<Arc<Alone>>,
    health: Health,
    doors: watch::Sender<standing::Ports>,
    orders: Orders,
    /// All clients have gone after an order to drain.
    is_over: watch::Receiver<bool>,
    /// Ends with why the engine is dead.
    probing: JoinHandle<String>,
    reloading: JoinHandle<()>,
    stop_http: oneshot::Sender<()>,
}

/// Serves until `shutdown` resolves, then lets the clients go and says goodbye to ha-server.
///
/// # Errors
/// [`RunError`] when it cannot start, or cannot go on.
pub async fn run(
    config: BrokerConfig,
    shutdown: impl Future<Output = &'static str>,
) -> Result<(), RunError> {
    let ports = Ports::bind(&config)?;
    let (mut running, stuck) = start(&config, ports.tls()).await?;
    let mode = if config.ha_servers.is_empty() { "alone" } else { "clustered" };
    tracing::info!(name = %config.name, listen = %config.listen(), http = %config.http, mode, "ha-broker runs");

    let Running { host, plugin, state, doors, probing, .. } = &mut running;
    let open = Mutex::new(None);
    let serving = async {
        hold(&config, &mut plugin.loaded).await;
        *open.lock().expect("nobody panics while holding it") = Some(ports.open(host));
        doors.send_replace(standing::Ports::Open);
        tokio::select! {
            failed = probing => failed.unwrap_or_else(|error| error.to_string()),
            () = host.died() => "it has ended".to_owned(),
        }
    };
    let ended = tokio::select! {
        signal = shutdown => Ok(signal),
        died = serving => Err(RunError::EngineDied(died)),
        Ok(why) = stuck => Err(RunError::EngineDied(why)),
        _ = &mut plugin.task => Err(RunError::Plugin),
        fault = stopped(state.as_deref()) => Err(RunError::StateStopped(fault)),
    };
    let signal = match ended {
        Ok(signal) => signal,
        Err(error) => {
            running.health.set_liveness(Liveness::Stuck(error.to_string()));
            time::sleep(LAST_WORDS).await;
            return Err(error);
        }
    };
    tracing::info!(signal, "stopping");
    let open = open.into_inner().unwrap_or_else(PoisonError::into_inner);
    if mode == "clustered" && open.is_some() {
        leave(&running.orders, &mut running.is_over).await;
    }
    running.stop(open).await;
    Ok(())
}

/// Starts everything but the ports. The receiver tells when the engine has proved nothing for too long.
async fn start(
    config: &BrokerConfig,
    tls: Option<Arc<Tls>>,
) -> Result<(Running, oneshot::Receiver<String>), RunError> {
    let http = bind(config.http, "HTTP_PORT").await?;
    let (agent, agent_seen) = watch::channel(Agent::Down);
    if let Some(port) = config.leaving.agent_port {
        let address = SocketAddr::new(config.http.ip(), port);
        tokio::spawn(agent::serve(bind(address, "AGENT_PORT").await?, agent_seen));
    }
    let health = Health::new(&["listener", "engine", "cluster"]);
    let (plugin_ports, ends) = plugin_ports(config);
    warn_if_nobody_may_come_in(config);
    let gate = Gate::open(config.authentication.clone())?;
    let state = alone::open(config).await;
    let state =
        state.map_err(|error| RunError::State(config.data_dir.display().to_string(), error))?;
    let engine = Engine::start(config, gate.clone(), plugin_ports, state.clone());
    let host = Arc::new(engine.await?);
    let plugin = Plugin::new(core_config(config, state.as_deref()));
    let reach = match &state {
        Some(state) => Reach::Here(Arc::clone(state)),
        None => Reach::Servers(config.ha_servers.clone()),
    };
    let (orders, given) = steward::orders();
    let plugin = plugin::start(plugin, reach, ends, (health.clone(), orders.clone()));
    let counted = Arc::clone(&host);
    let metrics = metrics(plugin.snapshot.clone(), state.clone(), move || counted.stats());
    let (stop_http, http_stopped) = oneshot::channel::<()>();
    tokio::spawn(health::serve(http, health.clone(), metrics, http_stopped));
    let (doors, ports) = watch::channel(standing::Ports::Starting);
    let (over, is_over) = watch::channel(false);
    let (snapshot, loaded) = (Arc::clone(&plugin.snapshot), plugin.loaded.clone());
    let sights = Sights { snapshot, loaded, ports, room: measure::start(gauges(config)) };
    let says = Says { health: health.clone(), agent, over };
    let rules = (config.leaving.standing, config.leaving.drain);
    let is_draining = Arc::clone(&orders.is_draining);
    tokio::spawn(steward::run(rules, Arc::clone(&host), (sights, says), is_draining, given));
    let (probing, stuck) = watch_over(&host, &health);
    let reloading = tokio::spawn(reload_on_hangup(gate, tls));
    let running = Running {
        host,
        plugin,
        state,
        health,
        doors,
        orders,
        is_over,
        probing,
        reloading,
        stop_http,
    };
    Ok((running, stuck))
}

impl Running {
    /// Closes whoever is left, and says goodbye to ha-server.
    async fn stop(self, open: Option<OpenPorts>) {
        self.reloading.abort();
        self.probing.abort();
        self.doors.send_replace(standing::Ports::Stopping);
        if let Some(ports) = open {
            ports.close();
        }
        self.host.shutdown(CLIENTS_GOODBYE_MAX).await;
        self.plugin.stop().await;
        if let Some(Err(error)) = save(self.state.as_deref()).await {
            tracing::warn!(%error, "the state was not saved; it is in the log");
        }
        // The HTTP server may have ended by itself.
        let _ = self.stop_http.send(());
        tracing::info!("stopped");
    }
}

/// Resolves when the state in this process, if there is one, has stopped by itself.
async fn stopped(state: Option<&Alone>) -> String {
    match state {
        Some(state) => state.fault().await,
        None => std::future::pending().await,
    }
}

/// Stops the state in this process, if there is one.
async fn save(state: Option<&Alone>) -> Option<Result<(), StoreError>> {
    Some(state?.shut_down().await)
}

/// Waits until the broker's copy of the retained messages is complete, or ha-server there that has them,
/// for a bounded time: clients that come earlier would miss some, or wait.
async fn hold(config: &BrokerConfig, loaded: &mut watch::Receiver<bool>) {
    let attached = time::timeout(config.attach_hold, loaded.wait_for(|loaded| *loaded));
    if attached.await.is_err() {
        let hold = config.attach_hold;
        tracing::warn!(
            "ha-server, or its retained messages, did not come within {hold:?}: serving without"
        );
    }
}

/// Probes the engine in a task, which ends with why it is dead, and watches that task from a thread.
fn watch_over(
    host: &Arc<Engine>,
    health: &Health,
) -> (JoinHandle<String>, oneshot::Receiver<String>) {
    let (host, health, proofs) = (Arc::clone(host), health.clone(), Arc::new(Proofs::default()));
    let stuck = pulse::watch(&proofs);
    let probing = tokio::spawn(async move {
        pulse::probe(&host, &proofs, || health.set_check("engine", CheckState::Passing)).await
    });
    (probing, stuck)
}

/// Lets all clients go, in the time that it may take. A second signal ends it.
async fn leave(orders: &Orders, is_over: &mut watch::Receiver<bool>) {
    let Ok(again) = signals::shutdown_signal() else { return };
    if orders.sender.send(Order::Drain(None)).await.is_err() {
        return;
    }
    tokio::select! {
        _ = is_over.wait_for(|over| *over) => (),
        signal = again => tracing::warn!(signal, "stopping at once"),
    }
}

/// What room there must be: on disk only where something is written.
fn gauges(config: &BrokerConfig) -> Gauges {
    let writes = alone::durability(config).is_some();
    let disk = writes.then(|| (config.data_dir.clone(), config.leaving.disk_free_min));
    Gauges { disk, memory_max: config.leaving.memory_max }
}

fn warn_if_nobody_may_come_in(config: &BrokerConfig) {
    let of = &config.authentication;
    if !of.allow_anonymous && of.password_file.is_none() {
        tracing::warn!(
            "every client will be refused: [AUTHENTICATION] has neither PASSWORD_FILE nor \
             ALLOW_ANONYMOUS = YES"
        );
    }
}

/// Reads the files of `[AUTHENTICATION]` and `[TLS]` again at each SIGHUP.
#[cfg(unix)]
async fn reload_on_hangup(gate: Gate, tls: Option<Arc<Tls>>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        return tracing::warn!("SIGHUP cannot be awaited: files are read at the start only");
    };
    while hangups.recv().await.is_some() {
        match gate.reload() {
            Ok(()) => tracing::info!("files of [AUTHENTICATION] are read again"),
            Err(error) => tracing::error!("the files before stay in force: {error}"),
        }
        match tls.as_ref().map(|tls| tls.reload()) {
            Some(Ok(())) => tracing::info!("files of [TLS] are read again"),
            Some(Err(error)) => tracing::error!("the certificates before stay in force: {error}"),
            None => (),
        }
    }
}

/// There is no such signal.
#[cfg(not(unix))]
async fn reload_on_hangup(_: Gate, _: Option<Arc<Tls>>) {
    std::future::pending().await
}

fn plugin_ports(config: &BrokerConfig) -> (PluginPorts, HostEnds) {
    let (publishes, publishes_rx) = mpsc::channel(PUBLISHES_MAX);
    let (events, events_rx) = mpsc::channel(EVENTS_MAX);
    let (commands, commands_rx) = mpsc::channel(COMMANDS_AT_ONCE * 4);
    let weight_max = config.outbox_max.min(config.outbox_bytes_max / WEIGHT_BYTES);
    let (lane, lane_end) = session_host::lane(weight_max);
    let ports = PluginPorts { publishes, events, lane, commands: commands_rx };
    (ports, HostEnds { publishes: publishes_rx, events: events_rx, lane: lane_end, commands })
}

/// Who holds sessions: rumqttd always does it itself, our own host where nothing shall be kept.
pub(crate) fn held_by(config: &BrokerConfig) -> HeldBy {
    let has_state = !config.ha_servers.is_empty() || alone::durability(config).is_some();
    match config.host {
        HostKind::Session if has_state => HeldBy::Cluster,
        HostKind::Session | HostKind::Rumqttd => HeldBy::Host,
    }
}

fn core_config(config: &BrokerConfig, state: Option<&Alone>) -> Config {
    let unix_ms = unix_time_ms();
    // Unlike in every earlier run on this machine, and unlike another broker with the same name.
    let run = state.map_or(unix_ms, |state| state.incarnation().0);
    let incarnation = (run << 20) | u64::from(std::process::id() & 0xF_FFFF);
    Config {
        mode: match (&config.ha_servers[..], state) {
            ([], Some(_)) => Mode::Clustered(vec!["here".to_owned()]),
            ([], None) => Mode::Alone,
            (addresses, _) => Mode::Clustered(addresses.to_vec()),
        },
        sessions: held_by(config),
        name: config.name.clone(),
        incarnation: Incarnation(incarnation),
        software: SOFTWARE.to_owned(),
        cluster_time_at_zero: ClusterMillis(unix_ms),
        seed: incarnation,
        backoff_ms: BACKOFF_MS,
        connect_hold_ms: config.leaving.standing.hold_ms,
        serves_isolated: config.leaving.standing.isolated == WhenIsolated::Serve,
        outbox_max: config.outbox_max,
        outbox_bytes_max: config.outbox_bytes_max,
        filters_max: config.filters_max,
        retained_max: config.retained_max,
        retained_bytes_max: config.retained_bytes_max,
    }
}

/// Wall time; zero when the clock says it is before 1970.
pub(crate) fn unix_time_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).expect("fits for 500 million years")
}
