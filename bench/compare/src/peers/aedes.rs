//! Aedes from npm: three nodes that share a Redis from Debian.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{Peer, Running};
use crate::loads::Kind;
use crate::site::{Server, Site, named, said};

#[derive(Clone, Copy, Debug)]
pub(super) struct Aedes;

/// A node of it; the folder has its dependencies after `bench/compare.sh install`.
const FOLDER: &str = "bench/compare/aedes";

const NODES: u16 = 3;

/// Ports: MQTT at 0 to 2, then this.
const REDIS: u16 = 10;

impl Aedes {
    fn spawn(site: &Site, node: u16) -> io::Result<Server> {
        let mut command = Command::new("node");
        command.arg(PathBuf::from(FOLDER).join("node.js"));
        command.args([site.port(node).to_string(), site.port(REDIS).to_string()]);
        site.spawn(&format!("aedes-{node}"), &command)
    }

    fn spawn_redis(site: &Site) -> io::Result<Server> {
        let data = site.folder("redis")?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &site.port(REDIS).to_string(), "--bind", "127.0.0.1"]);
        command.args(["--appendonly", "yes", "--dir"]).arg(data);
        site.spawn("redis", &command)
    }
}

impl Peer for Aedes {
    fn name(&self) -> &'static str {
        "aedes"
    }

    fn title(&self) -> &'static str {
        "Aedes, 3 nodes and a Redis"
    }

    fn puback(&self) -> &'static str {
        "the one Redis has it in memory; its disk is synced every second"
    }

    fn set_up(&self) -> &'static str {
        "aedes-persistence-redis and mqemitter-redis; Redis with appendonly; TCP_NODELAY"
    }

    fn version(&self, _: &Site) -> io::Result<String> {
        let path = PathBuf::from(FOLDER).join("node_modules/aedes/package.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| named(&path.to_string_lossy(), error))?;
        let package: Value = serde_json::from_str(&text)?;
        let redis = said("redis-server", &["--version"])?;
        let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v="));
        let node = said("node", &["--version"])?;
        let version = package["version"].as_str().unwrap_or_default();
        Ok(format!("aedes {version}, Redis {}, Node.js {}", redis.unwrap_or_default(), node.trim()))
    }

    fn start(&self, site: &Site, _: Kind) -> io::Result<Running> {
        let redis = Self::spawn_redis(site)?;
        let mut running = Running::nodes(NODES, site, |node| Self::spawn(site, node))?;
        running.servers.push(redis);
        Ok(running)
    }
}
