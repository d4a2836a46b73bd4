//! The load balancers with the sample configurations of `conf/`, on the ports of a test.

use std::{fs, path::Path, process::Command};

use crate::{Cluster, Port, Process, TemporaryFolder, repository, wait};

/// The text of a sample with other ports. Each of them must be in it.
pub fn with_ports(sample: &str, ports: &[(u16, u16)]) -> String {
    let text = fs::read_to_string(repository().join("conf").join(sample)).unwrap();
    // First to something that is no port, because an old port may equal a new one.
    let marked = ports.iter().fold(text, |text, (old, _)| {
        assert!(text.contains(&old.to_string()), "{sample} has no port {old}");
        text.replace(&old.to_string(), &format!("<{old}>"))
    });
    ports
        .iter()
        .fold(marked, |text, (old, new)| text.replace(&format!("<{old}>"), &new.to_string()))
}

/// A load balancer with its sample configuration, before the two brokers of a cluster.
#[derive(Debug)]
pub struct LoadBalancer {
    // It ends before the folder of its files goes.
    _process: Process,
    _folder: TemporaryFolder,
    front: Port,
}

impl LoadBalancer {
    /// HAProxy, which listens.
    pub fn haproxy(cluster: &Cluster) -> Self {
        let [first, second] = &cluster.brokers[..] else { panic!("two brokers") };
        let http = [(8080, first.http.number()), (8081, second.http.number())];
        let agents = [(8090, first.agent.number()), (8091, second.agent.number())];
        Self::start(cluster, &[http, agents].concat(), haproxy)
    }

    /// nginx, which listens.
    pub fn nginx(cluster: &Cluster) -> Self {
        Self::start(cluster, &[], nginx)
    }

    /// The samples name the same ports for the balancer and MQTT; `more` are those of one of them.
    fn start(
        cluster: &Cluster,
        more: &[(u16, u16)],
        balancer: fn(&TemporaryFolder, &[(u16, u16)]) -> Process,
    ) -> Self {
        let (folder, front) = (TemporaryFolder::new(), Port::free());
        let mqtt = [(1885, front.number()), (1883, cluster.port(0)), (1884, cluster.port(1))];
        let mut process = balancer(&folder, &[&mqtt, more].concat());
        wait::until("the load balancer listens", wait::LONG, || {
            assert_eq!(process.ended(), None, "{}", process.log());
            std::net::TcpStream::connect(("127.0.0.1", front.number())).ok()
        });
        Self { _process: process, _folder: folder, front }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.front.number()
    }
}

/// HAProxy with `conf/haproxy.cfg`.
fn haproxy(folder: &TemporaryFolder, ports: &[(u16, u16)]) -> Process {
    let config = folder.write("haproxy.cfg", with_ports("haproxy.cfg", ports));
    let log = folder.path().join("haproxy.log");
    Process::start("haproxy", in_sbin("haproxy").arg("-db").arg("-f").arg(config), &log)
}

/// nginx with `conf/nginx.conf`, as a single process: its workers would outlive a killed master.
fn nginx(folder: &TemporaryFolder, ports: &[(u16, u16)]) -> Process {
    let config = folder.write("nginx.conf", with_ports("nginx.conf", ports));
    let mut command = in_sbin("nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(config);
    command.args(["-g", "daemon off; master_process off;"]);
    Process::start("nginx", &mut command, &folder.path().join("nginx.log"))
}

/// Debian keeps them where only root looks.
fn in_sbin(name: &str) -> Command {
    let place = Path::new("/usr/sbin").join(name);
    if place.exists() { Command::new(place) } else { Command::new(name) }
}
