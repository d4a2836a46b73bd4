//! NATS from Debian: three nodes, MQTT over `JetStream` with three replicas.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Leader, Peer, Running, line_with};
use crate::loads::Kind;
use crate::site::{Server, Site, said};

#[derive(Clone, Copy, Debug)]
pub(super) struct Nats;

const PROGRAM: &str = "nats-server";

const NODES: u16 = 3;

/// Ports: MQTT at 0 to 2, then these.
const CLIENTS: u16 = 10;
const CLUSTER: u16 = 20;
const HTTP: u16 = 30;

/// How long its HTTP server may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The stream with all messages of QoS 1.
const STREAM: &str = "$MQTT_msgs";

impl Nats {
    fn conf(site: &Site, node: u16, data: &str) -> String {
        let route = |other: u16| format!("\"nats://{}\"", site.address(CLUSTER + other));
        let routes = (0..NODES).filter(|other| *other != node).map(route);
        let routes = routes.collect::<Vec<_>>().join(", ");
        format!(
            "server_name: node-{node}\nlisten: {clients}\nhttp: {http}\n\
             jetstream {{ store_dir: \"{data}\" }}\n\
             cluster {{ name: compare, listen: {cluster}, routes: [{routes}] }}\n\
             mqtt {{ listen: {mqtt}, max_ack_pending: 10000, stream_replicas: {NODES} }}\n",
            clients = site.address(CLIENTS + node),
            http = site.address(HTTP + node),
            cluster = site.address(CLUSTER + node),
            mqtt = site.address(node),
        )
    }

    fn spawn(site: &Site, node: u16) -> io::Result<Server> {
        let name = format!("nats-{node}");
        let data = site.folder(&name)?;
        let conf = Self::conf(site, node, &data.to_string_lossy());
        let file = site.write(&format!("{name}.conf"), &conf)?;
        site.spawn(&name, Command::new(PROGRAM).arg("-c").arg(file))
    }
}

impl Peer for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn title(&self) -> &'static str {
        "NATS, 3 nodes, JetStream R3"
    }

    fn puback(&self) -> &'static str {
        "a majority has it in memory; disks are synced every two minutes"
    }

    fn set_up(&self) -> &'static str {
        "max_ack_pending 10000, as its default of 100 holds back fast subscribers; this version has no QoS 2"
    }

    fn version(&self, _: &Site) -> io::Result<String> {
        let text = said(PROGRAM, &["--version"])?;
        Ok(line_with(&text, "nats-server").unwrap_or_default())
    }

    fn start(&self, site: &Site, _: Kind) -> io::Result<Running> {
        Running::nodes(NODES, site, |node| Self::spawn(site, node))
    }

    fn leader(&self, site: &Site, _: &Running) -> io::Result<Option<Leader>> {
        let leader = (0..NODES).find_map(|node| {
            let answer = get(&site.address(HTTP + node), "/jsz?accounts=true&streams=true");
            leader_in(&serde_json::from_str(&answer.ok()?).ok()?)
        });
        leader.map(Some).ok_or_else(|| io::Error::other(format!("no node leads {STREAM}")))
    }
}

/// The body of what an HTTP server answers.
fn get(address: &str, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    // Of this version an answer has no chunks.
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.into())
}

fn leader_in(answer: &Value) -> Option<Leader> {
    let accounts = answer["account_details"].as_array()?;
    let streams = accounts.iter().filter_map(|account| account["stream_detail"].as_array());
    let stream = streams.flatten().find(|stream| stream["name"] == STREAM)?;
    let node = stream["cluster"]["leader"].as_str()?.strip_prefix("node-")?;
    Some(Leader::Node(node.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_node_has_a_route_to_the_other_two() {
        let site = Site { programs: "/bin".into(), folder: "/tmp".into(), first_port: 100 };
        let conf = Nats::conf(&site, 1, "/d");
        let routes = "routes: [\"nats://127.0.0.1:120\", \"nats://127.0.0.1:122\"]";
        assert!(conf.contains(routes), "{conf}");
        assert!(conf.contains("mqtt { listen: 127.0.0.1:101,"), "{conf}");
    }

    #[test]
    fn leader_is_that_of_the_stream_of_messages() {
        let stream = |name, leader| json!({"name": name, "cluster": {"leader": leader}});
        let streams = [stream("$MQTT_sess", "node-0"), stream("$MQTT_msgs", "node-2")];
        let answer = json!({"account_details": [{"name": "$G", "stream_detail": streams}]});
        assert_eq!(leader_in(&answer), Some(Leader::Node(2)));
        assert_eq!(leader_in(&json!({"account_details": []})), None);
        assert_eq!(leader_in(&json!({})), None);
    }
}
