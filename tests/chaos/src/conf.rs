//! The configuration files of a cluster, as an operator would write them.

use std::fmt::Write;
use std::path::Path;

/// Where an ha-server listens.
#[derive(Clone, Copy, Debug)]
pub struct ServerPorts {
    /// For brokers and other servers.
    pub ha: u16,
    /// For `/readyz` and `/metrics`.
    pub http: u16,
}

/// Where a broker listens.
#[derive(Clone, Copy, Debug)]
pub struct BrokerPorts {
    /// For clients.
    pub mqtt: u16,
    /// For `/readyz` and `/metrics`.
    pub http: u16,
}

/// `HAServer.conf` of one of `all`, counted from 0, with further lines. One server alone has no group.
#[must_use]
pub fn server(index: usize, all: &[ServerPorts], data: &Path, more: &[String]) -> String {
    let ServerPorts { ha, http } = all[index];
    let data = data.display();
    let mut text = format!(
        "[HA_SERVER]\nBIND = 127.0.0.1\nHA_port = {ha}\nHTTP_PORT = {http}\nDATA_DIR = {data}\n"
    );
    if all.len() > 1 {
        let members = all.iter().zip(1..).map(|(ports, id)| format!("{id}@127.0.0.1:{}", ports.ha));
        let members = members.collect::<Vec<_>>().join(", ");
        write!(text, "NODE_ID = {}\nMEMBERS = {members}\n", index + 1).expect("a string grows");
    }
    for line in more {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// `broker.conf`.
#[must_use]
pub fn broker(name: &str, ports: BrokerPorts, servers: &[ServerPorts], data: &Path) -> String {
    let servers: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.ha)).collect();
    let (BrokerPorts { mqtt, http }, servers, data) = (ports, servers.join(", "), data.display());
    format!(
        "[CONFIG]\nNAME = {name}\nBIND = 127.0.0.1\nPORT_NO = {mqtt}\nHTTP_PORT = {http}\n\
         DATA_DIR = {data}\n[DISTRIBUTOR]\nDISTRIBUTION_ENABLED = YES\nDISTRIBUTION_IP = {servers}\n\
         [AUTHENTICATION]\nALLOW_ANONYMOUS = YES\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ServerPorts; 3] = [
        ServerPorts { ha: 20_000, http: 20_001 },
        ServerPorts { ha: 20_002, http: 20_003 },
        ServerPorts { ha: 20_004, http: 20_005 },
    ];

    #[test]
    fn one_server_has_no_group_and_three_name_each_other() {
        let alone = server(0, &ALL[..1], Path::new("d"), &[]);
        assert!(alone.contains("HA_port = 20000\n") && !alone.contains("MEMBERS"), "{alone}");
        let second = server(1, &ALL, Path::new("d"), &["DURABILITY = MEMORY".to_owned()]);
        let group = "NODE_ID = 2\n\
            MEMBERS = 1@127.0.0.1:20000, 2@127.0.0.1:20002, 3@127.0.0.1:20004\n";
        assert!(second.contains(group), "{second}");
        assert!(second.ends_with("\nDURABILITY = MEMORY\n"), "{second}");
    }

    #[test]
    fn broker_knows_all_servers() {
        let ports = BrokerPorts { mqtt: 20_010, http: 20_011 };
        let text = broker("broker-1", ports, &ALL, Path::new("d"));
        let servers = "DISTRIBUTION_IP = 127.0.0.1:20000, 127.0.0.1:20002, 127.0.0.1:20004\n";
        assert!(text.contains(servers), "{text}");
    }
}
