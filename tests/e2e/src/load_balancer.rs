//! The load balancers with the sample configurations of `conf/`, on the ports of a test.

use std::{fs, path::Path, process::Command};

use crate::{Process, TemporaryFolder, repository};

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

/// HAProxy with `conf/haproxy.cfg`.
pub fn haproxy(folder: &TemporaryFolder, ports: &[(u16, u16)]) -> Process {
    let config = folder.write("haproxy.cfg", with_ports("haproxy.cfg", ports));
    let log = folder.path().join("haproxy.log");
    Process::start("haproxy", in_sbin("haproxy").arg("-db").arg("-f").arg(config), &log)
}

/// nginx with `conf/nginx.conf`, as a single process: its workers would outlive a killed master.
pub fn nginx(folder: &TemporaryFolder, ports: &[(u16, u16)]) -> Process {
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
