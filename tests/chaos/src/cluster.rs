//! All processes of a cluster: ha-servers and brokers with their ports, files and state.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use faulty_disk::{Shim, damage};

use crate::conf::{self, BrokerPorts, ServerPorts};
use crate::http;
use crate::ports::Port;
use crate::program::Program;
use crate::schedule::{Order, Process, Seen, Wound};

/// Where the programs under test are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// ha-server.
    pub server: PathBuf,
    /// ha-broker.
    pub broker: PathBuf,
}

impl Binaries {
    /// Those in one folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let named = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        Self { server: named("ha-server"), broker: named("ha-broker") }
    }
}

/// What servers write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Disk {
    /// What a process wrote is there when it was killed: only the machine could lose it.
    Keeps,
    /// What was not synced is gone when its process was killed. Linux only; needs a C compiler.
    Forgets,
}

/// Who there is, and how it is configured.
#[derive(Clone, Debug)]
pub struct Shape {
    /// ha-servers.
    pub servers: usize,
    /// Brokers.
    pub brokers: usize,
    /// Of servers.
    pub disk: Disk,
    /// Further lines of `[HA_SERVER]`, as `KEY = VALUE`.
    pub server_keys: Vec<String>,
}

/// What a server says, in an error, when it finds that it lost records.
const SAYS_DAMAGED: &str = "records are lost";

/// The processes, which end with this value, and what they need.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Program>,
    brokers: Vec<Program>,
    server_ports: Vec<ServerPorts>,
    broker_ports: Vec<BrokerPorts>,
    /// Of servers.
    data: Vec<PathBuf>,
    _claimed: Vec<Port>,
}

impl Cluster {
    /// Writes the configuration of servers and brokers into a folder; nothing is started.
    ///
    /// # Errors
    /// A file cannot be written, there is no free port, or no disk that forgets.
    pub fn prepare(binaries: &Binaries, shape: &Shape, folder: &Path) -> io::Result<Self> {
        let &Shape { servers, brokers, disk, ref server_keys } = shape;
        let shim = (disk == Disk::Forgets).then(|| Shim::compile(folder)).transpose()?;
        let claimed: Vec<_> =
            (0..2 * (servers + brokers)).map(|_| Port::free()).collect::<Result<_, _>>()?;
        let mut numbers = claimed.iter().map(Port::number);
        let mut number = || numbers.next().expect("two for each process");
        let server_ports: Vec<_> =
            (0..servers).map(|_| ServerPorts { ha: number(), http: number() }).collect();
        let broker_ports: Vec<_> =
            (0..brokers).map(|_| BrokerPorts { mqtt: number(), http: number() }).collect();
        let program = |name: String, binary: &Path, text: String| {
            let configuration = folder.join(format!("{name}.conf"));
            fs::write(&configuration, text)?;
            let log = folder.join(format!("{name}.log"));
            Ok(Program::new(&name, binary.to_owned(), configuration, log))
        };
        let data = |name: &str| folder.join(format!("{name}-data"));
        let server = |index: usize| {
            let name = format!("server-{}", index + 1);
            let text = conf::server(index, &server_ports, &data(&name), server_keys);
            let undo = folder.join(format!("{name}-undo"));
            let disk = shim.as_ref().map(|shim| shim.disk(&data(&name), &undo)).transpose()?;
            let server = program(name, &binaries.server, text)?;
            Ok(if let Some(disk) = disk { server.on(disk) } else { server })
        };
        let broker = |(ports, number): (&BrokerPorts, usize)| {
            let name = format!("broker-{number}");
            let text = conf::broker(&name, *ports, &server_ports, &data(&name));
            program(name, &binaries.broker, text)
        };
        Ok(Self {
            servers: (0..servers).map(server).collect::<io::Result<_>>()?,
            brokers: broker_ports.iter().zip(1..).map(broker).collect::<io::Result<_>>()?,
            server_ports,
            broker_ports,
            data: (1..=servers).map(|number| data(&format!("server-{number}"))).collect(),
            _claimed: claimed,
        })
    }

    /// All processes, servers first.
    pub fn processes(&self) -> impl Iterator<Item = Process> + use<> {
        let servers = (0..self.servers.len()).map(Process::Server);
        servers.chain((0..self.brokers.len()).map(Process::Broker))
    }

    /// Where clients connect.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |ports: &BrokerPorts| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.mqtt));
        self.broker_ports.iter().map(address).collect()
    }

    /// The name of a process.
    #[must_use]
    pub fn name(&self, process: Process) -> &str {
        match process {
            Process::Server(index) => &self.servers[index].name,
            Process::Broker(index) => &self.brokers[index].name,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// A process cannot be started, or a disk neither forget nor be damaged.
    pub fn obey(&mut self, order: Order) -> io::Result<()> {
        let program = self.program(order.process());
        match order {
            Order::Kill(_) => program.kill(),
            Order::Start(_) => program.start()?,
            Order::Stop(_) => program.signal("STOP"),
            Order::Continue(_) => program.signal("CONT"),
            Order::Damage(Process::Server(index), wound) => {
                program.bury()?;
                self.damage(index, wound)?;
            }
            Order::Damage(Process::Broker(_), _) => (),
        }
        Ok(())
    }

    /// Where every server notices it. What a segment that is not the last lost is missing before the
    /// next. Of a lone one the first half: it was written long before what a torn write may be.
    fn damage(&self, server: usize, Wound { damage, place }: Wound) -> io::Result<()> {
        let mut segments = damage::segments(&self.group(server).join("log"))?;
        let last = segments.pop().ok_or_else(|| io::Error::other("there is no log"))?;
        let place = usize::try_from(place).expect("below 1,000");
        let older = segments.get(place % segments.len().max(1));
        let file = older.unwrap_or(&last);
        let bytes = usize::try_from(fs::metadata(file)?.len()).expect("it was written");
        damage.strike(file, bytes / 2 * place / 1_000)
    }

    /// Where a server has its log, its store, and a marker while it recovers.
    fn group(&self, server: usize) -> PathBuf {
        self.data[server].join("group-0")
    }

    /// How often a server has said, since it was first started, that it lost records.
    #[must_use]
    pub fn said_that_it_lost_records(&self, server: usize) -> usize {
        self.servers[server].said(SAYS_DAMAGED)
    }

    /// Why a process has ended that nobody killed, if one has.
    pub fn ended(&mut self) -> Option<String> {
        self.servers.iter_mut().chain(&mut self.brokers).find_map(Program::ended)
    }

    /// Whether a process has ended that nobody killed.
    pub fn has_ended(&mut self, process: Process) -> bool {
        self.program(process).ended().is_some()
    }

    /// Asks all but those that are away.
    pub async fn look(&self, is_away: impl Fn(Process) -> bool) -> Seen {
        let mut seen = Seen::default();
        for process in self.processes().filter(|&process| !is_away(process)) {
            let http = self.http(process);
            if http::get(http, "/readyz").await.is_some_and(|(status, _)| status == 200) {
                seen.ready.insert(process);
            }
            if let Process::Server(index) = process {
                self.look_at_server(index, &mut seen).await;
            }
        }
        seen
    }

    async fn look_at_server(&self, index: usize, seen: &mut Seen) {
        let asks = seen.leader.is_none() || self.recovers(index);
        let leads = asks && self.leads(index).await;
        // The marker comes before a server answers at all and goes once: what is there afterwards was
        // there before.
        if self.recovers(index) {
            seen.ready.remove(&Process::Server(index));
            seen.recovering.insert(index);
            if leads {
                seen.premature.insert(index);
            }
        } else if leads && seen.leader.is_none() {
            seen.leader = Some(index);
        }
    }

    /// `/readyz` says whether a leader is known, not whether this server has what it lost.
    fn recovers(&self, server: usize) -> bool {
        self.group(server).join("recovering").exists()
    }

    /// One server alone leads whatever it says.
    async fn leads(&self, server: usize) -> bool {
        if self.servers.len() == 1 {
            return true;
        }
        let page = http::get(self.server_ports[server].http, "/metrics").await;
        page.is_some_and(|(_, page)| says_that_it_leads(&page))
    }

    fn http(&self, process: Process) -> u16 {
        match process {
            Process::Server(index) => self.server_ports[index].http,
            Process::Broker(index) => self.broker_ports[index].http,
        }
    }

    fn program(&mut self, process: Process) -> &mut Program {
        match process {
            Process::Server(index) => &mut self.servers[index],
            Process::Broker(index) => &mut self.brokers[index],
        }
    }
}

/// Whether a page of metrics has a gauge `…is_leader` of 1.
fn says_that_it_leads(page: &str) -> bool {
    let says_so = |(name, value): (&str, &str)| name.ends_with("is_leader") && value == "1";
    page.lines().any(|line| line.split_once(' ').is_some_and(says_so))
}

#[cfg(test)]
mod tests {
    use super::says_that_it_leads;

    #[test]
    fn server_that_leads_says_so_in_its_metrics() {
        let page = |value: u8| {
            format!(
                "# HELP ha_server_raft_is_leader 1 while this server leads.\n\
                 # TYPE ha_server_raft_is_leader gauge\nha_server_raft_is_leader {value}\n# EOF\n"
            )
        };
        assert!(says_that_it_leads(&page(1)) && !says_that_it_leads(&page(0)));
        assert!(!says_that_it_leads(""));
    }
}
