//! scripts/rolling-restart.sh with three ha-servers and two brokers, and clients that go on meanwhile.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use e2e::{
    Client, Outcome, Port, TemporaryFolder, binary, get, repository, run_within, wait,
    without_our_environment,
};

/// A few restarts, each with a drain; on a machine that is busy.
const ROLLING_MAX: Duration = Duration::from_secs(120);

/// A program that a script starts and stops.
struct Daemon {
    name: String,
    kind: &'static str,
    port: Port,
    http: Port,
}

impl Daemon {
    fn new(kind: &'static str, name: &str) -> Self {
        Self { name: name.to_owned(), kind, port: Port::free(), http: Port::free() }
    }

    /// Settings of its own.
    fn settings(&self, folder: &Path, servers: &[Self]) -> Vec<String> {
        let data = folder.join(&self.name).display().to_string();
        let addresses = |prefix: fn(usize) -> String| {
            let all = servers.iter().enumerate();
            all.map(|(at, server)| format!("{}127.0.0.1:{}", prefix(at + 1), server.port))
                .collect::<Vec<_>>()
                .join(",")
        };
        let (port, http) = (self.port.number(), self.http.number());
        match self.kind {
            "server" => vec![
                format!("HA_SERVER.BIND=127.0.0.1"),
                format!("HA_SERVER.HA_PORT={port}"),
                format!("HA_SERVER.HTTP_PORT={http}"),
                format!("HA_SERVER.DATA_DIR={data}"),
                format!("HA_SERVER.NODE_ID={}", self.name),
                format!("HA_SERVER.MEMBERS={}", addresses(|id| format!("{id}@"))),
            ],
            _ => vec![
                format!("CONFIG.NAME={}", self.name),
                format!("CONFIG.BIND=127.0.0.1"),
                format!("CONFIG.PORT_NO={port}"),
                format!("CONFIG.HTTP_PORT={http}"),
                format!("CONFIG.DRAIN_GRACE=0"),
                format!("AUTHENTICATION.ALLOW_ANONYMOUS=YES"),
                format!("DISTRIBUTOR.DISTRIBUTION_ENABLED=YES"),
                format!("DISTRIBUTOR.DISTRIBUTION_IP={}", addresses(|_| String::new())),
            ],
        }
    }
}

struct Rolling {
    folder: TemporaryFolder,
    servers: Vec<Daemon>,
    brokers: Vec<Daemon>,
}

impl Rolling {
    fn start() -> Self {
        let servers = (1..=3).map(|id| Daemon::new("server", &id.to_string())).collect();
        let brokers = (1..=2).map(|id| Daemon::new("broker", &format!("broker-{id}"))).collect();
        let rolling = Self { folder: TemporaryFolder::new(), servers, brokers };
        for daemon in rolling.all() {
            rolling.write_scripts(daemon);
            let started = rolling.shell(&format!("sh start-{}.sh", daemon.name));
            assert!(started.status.success(), "{started:?}");
        }
        for daemon in rolling.all() {
            wait::until(&format!("{} is ready", daemon.name), wait::LONG, || {
                let answer = get(daemon.http.number(), "/readyz");
                answer.is_ok_and(|(status, _)| status == 200).then_some(())
            });
        }
        rolling
    }

    fn all(&self) -> impl Iterator<Item = &Daemon> {
        self.servers.iter().chain(&self.brokers)
    }

    fn write_scripts(&self, daemon: &Daemon) {
        let (name, scripts) = (&daemon.name, repository().join("scripts"));
        let settings = daemon.settings(self.folder.path(), &self.servers);
        let sets: String = settings.iter().map(|setting| format!(" '--set={setting}'")).collect();
        let start = format!(
            "sh {}/start{}.sh --daemon --pid-file {name}.pid --log-file {name}.log{sets}\n",
            scripts.display(),
            daemon.kind,
        );
        self.folder.write(&format!("start-{name}.sh"), start);
        let stop = format!("sh {}/stopserver.sh {name}.pid", scripts.display());
        self.folder.write(&format!("restart-{name}.sh"), format!("{stop} && sh start-{name}.sh\n"));
    }

    fn shell(&self, command: &str) -> Output {
        let mut shell = without_our_environment(Command::new("sh"));
        shell.current_dir(self.folder.path()).arg("-c").arg(command);
        shell.env("HA_SERVER_BIN", binary("ha-server"));
        shell.env("HA_BROKER_BIN", binary("ha-broker"));
        run_within(ROLLING_MAX, &mut shell)
    }

    /// The list for the script.
    fn list(&self) -> String {
        let line = |of: &Daemon| {
            let Daemon { name, kind, http, .. } = of;
            format!("{kind} {name} http://127.0.0.1:{http} sh restart-{name}.sh >>restarts.log\n")
        };
        self.all().map(line).collect()
    }

    fn pids(&self) -> Vec<String> {
        let pid = |of: &Daemon| {
            fs::read_to_string(self.folder.path().join(format!("{}.pid", of.name))).unwrap()
        };
        self.all().map(pid).collect()
    }
}

impl Drop for Rolling {
    fn drop(&mut self) {
        let stop = "for pid in *.pid; do kill -9 $(cat $pid) 2>/dev/null; done; true";
        let _ = Command::new("sh").current_dir(self.folder.path()).args(["-c", stop]).status();
    }
}

/// Publishes until `stop`. The client goes to the next broker when it is sent away or refused; anything
/// else that ends its connection is an error. Returns what was acknowledged.
fn publish(ports: &[u16], stop: &AtomicBool) -> Vec<String> {
    let mut turn = 0;
    let mut connect = || {
        wait::until("a broker takes the client", wait::LONG, || {
            turn += 1;
            Client::resume(ports[turn % ports.len()], "publisher").ok()
        })
    };
    let mut client = connect();
    let mut sent: Vec<String> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let payload = sent.len().to_string();
        match client.publish_outcome("t", payload.as_bytes(), 1) {
            Outcome::Answered(0 | 0x10) => sent.push(payload),
            Outcome::Disconnected(0x9C) => client = connect(),
            Outcome::Closed if client.farewell() == Some(0x9C) => client = connect(),
            other => panic!("{other:?}"),
        }
    }
    sent
}

#[test]
fn cluster_is_restarted_without_an_acknowledged_message_being_lost() {
    let rolling = Rolling::start();
    rolling.folder.write("list", rolling.list());
    let script = repository().join("scripts/rolling-restart.sh").display().to_string();
    let servers: Vec<_> =
        rolling.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let command = format!("sh {script} --server {} --timeout 60 list", servers.join(","));
    let before = rolling.pids();

    let planned = rolling.shell(&format!("{command} --dry-run"));
    assert!(planned.status.success(), "{planned:?}");
    assert_eq!(rolling.pids(), before);

    let ports: Vec<_> = rolling.brokers.iter().map(|broker| broker.port.number()).collect();
    let mut subscriber = Client::resume(ports[0], "subscriber").unwrap();
    subscriber.subscribe("t", 1);
    drop(subscriber);
    let stop = AtomicBool::new(false);
    let (output, sent) = thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&ports, &stop));
        let output = rolling.shell(&command);
        stop.store(true, Ordering::Release);
        (output, publisher.join().unwrap())
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("All have been restarted.\n"), "{said}");
    assert_eq!(said.matches("hands over the lead").count(), 1, "{said}");
    let after = rolling.pids();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{said}");

    let mut subscriber = Client::resume(ports[0], "subscriber").unwrap();
    let mut got = Vec::new();
    wait::until("all that was acknowledged", wait::LONG, || {
        while let Some(message) = subscriber.receive(Duration::from_millis(50)) {
            got.push(String::from_utf8(message.payload).unwrap());
        }
        (got.len() >= sent.len()).then_some(())
    });
    got.extend(
        subscriber
            .received_so_far()
            .into_iter()
            .map(|message| String::from_utf8(message.payload).unwrap()),
    );
    got.dedup();
    assert_eq!(got, sent);
    println!("{} messages while all were restarted", sent.len());
}

#[test]
fn wrong_list_is_told_with_its_line() {
    let folder = TemporaryFolder::new();
    folder.write("list", "broker b1 http://127.0.0.1:1 true\nbroker b2 127.0.0.1:2 true\n");
    let script = repository().join("scripts/rolling-restart.sh");
    let mut command = Command::new("sh");
    command.arg(script).arg("list").current_dir(folder.path());
    let output = run_within(ROLLING_MAX, &mut command);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("list:2: broker b2: expected a URL"), "{said}");
}
