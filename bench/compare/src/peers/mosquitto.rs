//! Mosquitto from Debian: one, and two with a bridge both ways.

use std::io;
use std::process::Command;

use super::{Peer, Running, line_with};
use crate::loads::Kind;
use crate::site::{Server, Site, said};

/// So many of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mosquitto {
    Alone,
    Bridged,
}

const PROGRAM: &str = "mosquitto";

impl Mosquitto {
    /// `data` is the folder of its persistence.
    fn conf(self, site: &Site, node: u16, kind: Kind, data: &str) -> String {
        let port = site.port(node);
        // It carries fewer messages so, and later ones otherwise.
        let nodelay = kind == Kind::Latency;
        let mut conf = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay {nodelay}\n\
             max_queued_messages 0\nmax_inflight_messages 0\n\
             persistence true\npersistence_location {data}/\n"
        );
        // One bridge carries both ways, and knows what it brought itself. What is measured goes from node 0 to node 1,
        // whose listener has the option above.
        if let (Self::Bridged, 1) = (self, node) {
            conf.push_str(&format!(
                "connection to-the-other\naddress {}\ntopic # both 2\ncleansession false\n\
                 restart_timeout 1\nbridge_protocol_version mqttv311\n",
                site.address(0)
            ));
        }
        conf
    }

    fn spawn(self, site: &Site, node: u16, kind: Kind) -> io::Result<Server> {
        let name = format!("mosquitto-{node}");
        let data = site.folder(&name)?;
        let conf = self.conf(site, node, kind, &data.to_string_lossy());
        let file = site.write(&format!("{name}.conf"), &conf)?;
        site.spawn(&name, Command::new(PROGRAM).arg("-c").arg(file))
    }
}

impl Peer for Mosquitto {
    fn name(&self) -> &'static str {
        match self {
            Self::Alone => "mosquitto-alone",
            Self::Bridged => "mosquitto-bridged",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Alone => "Mosquitto alone",
            Self::Bridged => "two Mosquittos, bridged both ways",
        }
    }

    fn puback(&self) -> &'static str {
        "this node has it in memory; its disk is written every half hour"
    }

    fn set_up(&self) -> &'static str {
        "no limit of queued and in-flight messages; TCP_NODELAY for latency only, as it costs throughput; persistence on"
    }

    fn version(&self, _: &Site) -> io::Result<String> {
        let text = said(PROGRAM, &["-h"])?;
        Ok(line_with(&text, "version").unwrap_or_default())
    }

    fn start(&self, site: &Site, kind: Kind) -> io::Result<Running> {
        let nodes = match self {
            Self::Alone => 1,
            Self::Bridged => 2,
        };
        Running::nodes(nodes, site, |node| self.spawn(site, node, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_two_makes_the_bridge() {
        let site = Site { programs: "/bin".into(), folder: "/tmp".into(), first_port: 100 };
        let has_bridge =
            |of: Mosquitto, node| of.conf(&site, node, Kind::Idle, "/d").contains("connection");
        assert!(has_bridge(Mosquitto::Bridged, 1));
        assert!(!has_bridge(Mosquitto::Bridged, 0));
        assert!(!has_bridge(Mosquitto::Alone, 0));
    }
}
