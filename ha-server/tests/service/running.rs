//! A running ha-server on ports that the system chose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use ha_core::FanOut;
use ha_core::cluster::{StateLimits, Strategies};
use ha_node::{Durability, Failover, NodeId};
use ha_server::config::{Begin, GroupConfig, ServerConfig};
use ha_server::run::{Listeners, RunError, run};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

static NEXT: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
    data_dir: PathBuf,
}

impl Running {
    pub(crate) async fn start() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ha-server-service-{}-{number}", std::process::id());
        let data_dir = std::env::temp_dir().join(name);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = ServerConfig {
            listen: any,
            http: any,
            data_dir: data_dir.clone(),
            worker_threads: 1,
            fan_out: FanOut::Interest,
            lease_ms: 60_000,
            heartbeat_ms: 10_000,
            brokers_max: 8,
            filters_max: 1_000,
            queue_bytes: 64 << 20,
            stall_ms: 10_000,
            publish_window: 64,
            group: GroupConfig {
                cluster: "test".to_owned(),
                node: NodeId(1),
                begin: Begin::Alone,
                priority: 0,
                failover: Failover::Normal,
                durability: Durability::Memory,
            },
            limits: StateLimits::default(),
            strategies: Strategies::default(),
            warnings: Vec::new(),
        };
        let listeners = Listeners::bind(&config).await.unwrap();
        let address = listeners.grpc.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // Also when the test ended without saying stop.
            let _ = stopped.await;
            "test"
        };
        let task = tokio::spawn(run(config, listeners, Box::pin(shutdown)));
        Self { address, stop, task, data_dir }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        std::fs::remove_dir_all(self.data_dir).unwrap();
    }
}
