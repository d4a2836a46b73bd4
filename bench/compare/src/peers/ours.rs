//! This project: a broker alone, and clusters.

use std::fmt::Write as _;
use std::io;
use std::process::Command;

use super::{Leader, Peer, Running, line_with};
use crate::loads::Kind;
use crate::site::{Server, Site, said};

/// So many ha-servers and brokers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    name: &'static str,
    title: &'static str,
    puback: &'static str,
    servers: u16,
    brokers: u16,
}

pub(super) const ALONE: Ours = Ours {
    name: "ours-alone",
    title: "this project, a broker alone",
    puback: "it is in the mailbox of every connected subscriber; \
             if a session that outlives its connection must get it, it is on the disk first",
    servers: 0,
    brokers: 1,
};

pub(super) const ONE_AND_TWO: Ours = Ours {
    name: "ours-1-2",
    title: "this project, 1 ha-server, 2 brokers",
    puback: "every broker that needs it has it; \
             if a session that outlives its connection must get it, it is on the disk first",
    servers: 1,
    brokers: 2,
};

pub(super) const THREE_AND_TWO: Ours = Ours {
    name: "ours-3-2",
    title: "this project, 3 ha-servers, 2 brokers",
    puback: "every broker that needs it has it; \
             if a session that outlives its connection must get it, a majority of the ha-servers has it on the disk first",
    servers: 3,
    brokers: 2,
};

pub(super) const THREE_AND_THREE: Ours = Ours {
    name: "ours-3-3",
    title: "this project, 3 ha-servers, 3 brokers",
    brokers: 3,
    ..THREE_AND_TWO
};

impl Ours {
    /// ha-servers have a port for gRPC and one for HTTP, then each broker one for MQTT and one for HTTP.
    fn broker_port(self, id: u16) -> u16 {
        2 * (self.servers + id)
    }

    fn members(self, site: &Site) -> String {
        let member = |id| format!("{}@{}", id + 1, site.address(2 * id));
        (0..self.servers).map(member).collect::<Vec<_>>().join(", ")
    }

    fn server_conf(self, site: &Site, id: u16) -> io::Result<String> {
        let data = site.folder(&format!("server-{id}"))?;
        let mut conf = format!(
            "[HA_SERVER]\nBIND = 127.0.0.1\nHA_port = {}\nHTTP_PORT = {}\nDATA_DIR = {}\n",
            site.port(2 * id),
            site.port(2 * id + 1),
            data.display()
        );
        if self.servers > 1 {
            let members = self.members(site);
            let _ = writeln!(conf, "NODE_ID = {}\nMEMBERS = {members}", id + 1);
        }
        Ok(conf)
    }

    fn broker_conf(self, site: &Site, id: u16) -> io::Result<String> {
        let data = site.folder(&format!("broker-{id}"))?;
        let mut conf = format!(
            "[CONFIG]\nNAME = broker-{id}\nBIND = 127.0.0.1\nPORT_NO = {}\nHTTP_PORT = {}\n\
             DATA_DIR = {}\nCONNECTIONS_MAX = 20000\nSESSIONS_MAX = 1000000\n",
            site.port(self.broker_port(id)),
            site.port(self.broker_port(id) + 1),
            data.display()
        );
        if self.servers > 0 {
            let servers: Vec<_> = (0..self.servers).map(|id| site.address(2 * id)).collect();
            let servers = servers.join(", ");
            let _ = writeln!(
                conf,
                "[DISTRIBUTOR]\nDISTRIBUTION_ENABLED = YES\nDISTRIBUTION_IP = {servers}"
            );
        }
        conf.push_str("[AUTHENTICATION]\nALLOW_ANONYMOUS = YES\n");
        Ok(conf)
    }

    fn spawn(site: &Site, name: &str, program: &str, conf: &str) -> io::Result<Server> {
        let file = site.write(&format!("{name}.conf"), conf)?;
        let mut command = Command::new(site.program(program));
        site.spawn(name, command.arg("--config").arg(file))
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn puback(&self) -> &'static str {
        self.puback
    }

    fn set_up(&self) -> &'static str {
        "sample configuration; more connections and sessions allowed"
    }

    fn version(&self, site: &Site) -> io::Result<String> {
        let broker = site.program("ha-broker");
        let text = said(&broker.to_string_lossy(), &["--version"])?;
        Ok(line_with(&text, "ha-broker").unwrap_or_default())
    }

    fn start(&self, site: &Site, _: Kind) -> io::Result<Running> {
        let mut servers = Vec::new();
        for id in 0..self.servers {
            let conf = self.server_conf(site, id)?;
            servers.push(Self::spawn(site, &format!("server-{id}"), "ha-server", &conf)?);
        }
        for id in 0..self.brokers {
            let conf = self.broker_conf(site, id)?;
            servers.push(Self::spawn(site, &format!("broker-{id}"), "ha-broker", &conf)?);
        }
        let nodes = (0..self.brokers).map(|id| site.address(self.broker_port(id))).collect();
        let first = usize::from(self.servers);
        let serving = (first..servers.len()).collect();
        Ok(Running { nodes, serving, servers })
    }

    fn leader(&self, site: &Site, running: &Running) -> io::Result<Option<Leader>> {
        // One alone is no leader: nobody takes over from it.
        if self.servers < 3 {
            return Ok(None);
        }
        let program = site.program("ha-server");
        let program = program.to_string_lossy();
        let id = (0..self.servers).find_map(|id| {
            let text = said(&program, &["leader", "show", "--server", &site.address(2 * id)]);
            leader_in(&text.ok()?)
        });
        let leading = id.and_then(|id| running.servers.get(usize::from(id) - 1));
        let leading = leading.ok_or_else(|| io::Error::other("no ha-server says who leads"))?;
        Ok(Some(Leader::Apart(leading.pid())))
    }
}

/// The node in what `ha-server leader show` prints; from 1 on.
fn leader_in(text: &str) -> Option<u16> {
    let id = text.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    (id > 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_ha_server_names_no_members_and_three_name_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site { programs: "/bin".into(), folder: folder.path().into(), first_port: 100 };
        assert!(!ONE_AND_TWO.server_conf(&site, 0).unwrap().contains("MEMBERS"));
        let conf = THREE_AND_TWO.server_conf(&site, 2).unwrap();
        let members = "NODE_ID = 3\nMEMBERS = 1@127.0.0.1:100, 2@127.0.0.1:102, 3@127.0.0.1:104\n";
        assert!(conf.ends_with(members), "{conf}");
        assert!(conf.contains("HA_port = 104\n"), "{conf}");
        let broker = ALONE.broker_conf(&site, 0).unwrap();
        assert!(!broker.contains("DISTRIBUTOR"), "{broker}");
    }

    #[test]
    fn leader_is_the_second_word() {
        assert_eq!(leader_in("leader 3 at 127.0.0.1:2000\n"), Some(3));
        assert_eq!(leader_in("leader none\n"), None);
        assert_eq!(leader_in(""), None);
    }
}
