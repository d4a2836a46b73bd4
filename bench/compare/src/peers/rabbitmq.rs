//! `RabbitMQ` from Debian: three nodes, quorum queues for sessions that are kept.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{Peer, Running};
use crate::loads::Kind;
use crate::site::{Server, Site, said};

#[derive(Clone, Copy, Debug)]
pub(super) struct RabbitMq;

/// The script that becomes the server; the one on the path wants to be another user first.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

const NODES: u16 = 3;

/// Ports: MQTT at 0 to 2, then these.
const AMQP: u16 = 10;
const DISTRIBUTION: u16 = 20;
const NAMES: u16 = 30;

impl RabbitMq {
    /// The port makes it its own among those that were started before.
    fn name_of(site: &Site, node: u16) -> String {
        format!("compare-{}@localhost", site.port(node))
    }

    fn conf(site: &Site, node: u16) -> String {
        let mut conf = format!(
            "listeners.tcp.default = {amqp}\nmqtt.listeners.tcp.default = {mqtt}\n\
             mqtt.allow_anonymous = true\nmqtt.durable_queue_type = quorum\nmqtt.prefetch = 1000\n\
             cluster_formation.peer_discovery_backend = classic_config\n",
            amqp = site.address(AMQP + node),
            mqtt = site.address(node),
        );
        for other in 0..NODES {
            let name = Self::name_of(site, other);
            let _ = writeln!(conf, "cluster_formation.classic_config.nodes.{} = {name}", other + 1);
        }
        conf
    }

    fn spawn(site: &Site, node: u16) -> io::Result<Server> {
        let name = format!("rabbitmq-{node}");
        let folder = site.folder(&name)?;
        let file = site.write(&format!("{name}.conf"), &Self::conf(site, node))?;
        let plugins = site.write(&format!("{name}.plugins"), "[rabbitmq_mqtt].\n")?;
        let mut command = Command::new(PROGRAM);
        // So the script becomes the server, instead of waiting for it.
        command
            .env("RUNNING_UNDER_SYSTEMD", "yes")
            .env("RABBITMQ_NODENAME", Self::name_of(site, node))
            .env("RABBITMQ_CONFIG_FILE", file)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            // Nobody else may reach them: whoever does may do anything.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("ERL_EPMD_PORT", site.port(NAMES).to_string())
            .env("RABBITMQ_DIST_PORT", site.port(DISTRIBUTION + node).to_string())
            .env("HOME", &site.folder);
        site.spawn(&name, &command)
    }

    /// Where nodes find each other's ports. Each would start one that outlives it.
    fn spawn_names(site: &Site) -> io::Result<Server> {
        let mut command = Command::new("epmd");
        command.args(["-address", "127.0.0.1", "-port", &site.port(NAMES).to_string()]);
        site.spawn("epmd", &command)
    }
}

impl Peer for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn title(&self) -> &'static str {
        "RabbitMQ, 3 nodes, quorum queues"
    }

    fn puback(&self) -> &'static str {
        "a majority has it on its disk, if a session that outlives its connection must get it; \
         otherwise the node of each subscriber has it in memory"
    }

    fn set_up(&self) -> &'static str {
        "mqtt.durable_queue_type quorum; mqtt.prefetch 1000, as its default of 10 holds back fast \
         subscribers; this version has no MQTT of its own yet (3.12)"
    }

    fn version(&self, _: &Site) -> io::Result<String> {
        if !Path::new(PROGRAM).exists() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{PROGRAM}: not found")));
        }
        let package = "rabbitmq-server";
        let version = said("dpkg-query", &["-W", "-f", "${Version}", package])?;
        Ok(format!("{package} {}", version.trim()))
    }

    fn start(&self, site: &Site, _: Kind) -> io::Result<Running> {
        // What nodes know each other by.
        site.write(".erlang.cookie", "compare")?;
        restrict(&site.folder.join(".erlang.cookie"))?;
        let names = Self::spawn_names(site)?;
        let mut running = Running::nodes(NODES, site, |node| Self::spawn(site, node))?;
        running.servers.push(names);
        Ok(running)
    }
}

/// Erlang takes no cookie that others may read.
fn restrict(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_listen_apart_and_know_all_three() {
        let site = Site { programs: "/bin".into(), folder: "/tmp".into(), first_port: 100 };
        let conf = RabbitMq::conf(&site, 2);
        assert!(conf.contains("mqtt.listeners.tcp.default = 127.0.0.1:102\n"), "{conf}");
        assert!(conf.contains("nodes.1 = compare-100@localhost\n"), "{conf}");
        assert!(conf.contains("nodes.3 = compare-102@localhost\n"), "{conf}");
    }
}
