//! Runs every command of README.md, as they stand there and in their order.
//!
//! A command is a line of a block that is marked `sh`. A new one is run without a change here; this
//! file only knows which commands go on running until the end of their `##` section, what to wait for
//! after these, and which ports belong to the test instead of the usual ones.
//!
//! The one exception is `sh scripts/test.sh`, which runs this test: CI runs that line.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, net::TcpStream, process::Command, time::Duration};

use e2e::{
    Port, Process, TemporaryFolder, get, repository, wait, with_ports, without_our_environment,
};

/// The first build with the release profile may take this long.
const BUILD_MAX: Duration = Duration::from_secs(30 * 60);

/// The ports of README.md in this order, and those that are used instead.
const USUAL: [u16; 9] = [1883, 1884, 1885, 2000, 2001, 8080, 8081, 8090, 8091];

/// Whether a command that goes on running has begun its work.
type IsUp = Box<dyn Fn(&mut Process) -> bool>;

struct Readme {
    folder: TemporaryFolder,
    ports: Vec<Port>,
    /// What runs until the end of the section, with its command.
    running: Vec<(String, Process)>,
}

impl Readme {
    fn new() -> Self {
        let ports = USUAL.iter().map(|_| Port::free()).collect();
        Self { folder: TemporaryFolder::new(), ports, running: Vec::new() }
    }

    fn port(&self, usual: u16) -> u16 {
        let index = USUAL.iter().position(|&port| port == usual).expect("a usual port");
        self.ports[index].number()
    }

    /// The command with the ports of this test.
    fn adapted(&self, command: &str) -> String {
        let address = format!("ha-server status --server 127.0.0.1:{}", self.port(2000));
        let mut adapted = command.replace("ha-server status", &address);
        for usual in USUAL {
            adapted =
                adapted.replace(&format!("-p {usual} "), &format!("-p {} ", self.port(usual)));
        }
        let sample = [1883, 1884, 1885, 8080, 8081, 8090, 8091];
        let pairs: Vec<_> = sample.map(|p| (p, self.port(p))).into();
        let config = self.folder.write("haproxy.cfg", with_ports("haproxy.cfg", &pairs));
        adapted.replace("conf/haproxy.cfg", &config.display().to_string())
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = without_our_environment(Command::new("sh"));
        shell.arg("-c").arg(self.adapted(command)).current_dir(repository());
        shell.env_remove("CARGO_TARGET_DIR");
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{path}:/usr/sbin"));
        shell.envs(self.environment(command));
        shell
    }

    fn environment(&self, command: &str) -> Vec<(&'static str, String)> {
        let port = |name, usual| (name, self.port(usual).to_string());
        let folder = |name| (name, self.folder.path().join("data").display().to_string());
        if command.contains("quickstart.sh") {
            let names = [
                "BROKER_1_PORT",
                "BROKER_2_PORT",
                "HA_PORT",
                "HA_HTTP_PORT",
                "BROKER_1_HTTP_PORT",
                "BROKER_2_HTTP_PORT",
                "BROKER_1_AGENT_PORT",
                "BROKER_2_AGENT_PORT",
            ];
            let usual = [1883, 1884, 2000, 2001, 8080, 8081, 8090, 8091];
            names
                .into_iter()
                .zip(usual)
                .map(|(name, usual)| port(name, usual))
                .chain([folder("QUICKSTART_DATA")])
                .collect()
        } else if command.contains("startserver.sh") {
            vec![
                port("MQTT_HA_HA_SERVER__HA_PORT", 2000),
                port("MQTT_HA_HA_SERVER__HTTP_PORT", 2001),
                folder("MQTT_HA_HA_SERVER__DATA_DIR"),
            ]
        } else if command.contains("startbroker.sh") {
            vec![
                port("MQTT_HA_CONFIG__PORT_NO", 1883),
                port("MQTT_HA_CONFIG__HTTP_PORT", 8080),
                // Not the one of an ha-server that may run beside it.
                (
                    "MQTT_HA_CONFIG__DATA_DIR",
                    self.folder.path().join("broker").display().to_string(),
                ),
                port("MQTT_HA_DISTRIBUTOR__DISTRIBUTION_PORT", 2000),
            ]
        } else {
            Vec::new()
        }
    }

    fn run(&mut self, command: &str) {
        eprintln!("$ {command}");
        if command == "sh scripts/test.sh" {
            assert!(repository().join("scripts/test.sh").exists());
        } else if let Some(is_up) = self.runs_on(command) {
            self.start(command, is_up);
        } else {
            self.finish(command);
        }
    }

    /// For a command that goes on running: how to see that it has begun.
    fn runs_on(&self, command: &str) -> Option<IsUp> {
        let [front, broker_2] = [1885, 8081].map(|usual| self.port(usual));
        match command.split_whitespace().take(2).collect::<Vec<_>>()[..] {
            ["sh", "scripts/quickstart.sh"] => Some(Box::new(|p| p.log().contains("Press Ctrl-C"))),
            ["mosquitto_sub", _] => Some(Box::new(move |_| {
                get(broker_2, "/metrics").unwrap().1.contains("\nha_broker_filters 1\n")
            })),
            ["haproxy", _] => {
                Some(Box::new(move |_| TcpStream::connect(("127.0.0.1", front)).is_ok()))
            }
            _ => None,
        }
    }

    fn start(&mut self, command: &str, is_up: IsUp) {
        let log = self.folder.path().join(format!("{}.log", self.running.len()));
        // exec, so that a signal to the shell is one to the command; and one that listens to SIGINT,
        // which is ignored where the tests run behind "&" in a script.
        let begun = format!("exec env --default-signal=INT {command}");
        let mut process = Process::start(command, &mut self.shell(&begun), &log);
        wait::until(command, BUILD_MAX, || {
            assert_eq!(process.ended(), None, "{command} has ended: {}", process.log());
            is_up(&mut process).then_some(())
        });
        self.running.push((command.to_owned(), process));
    }

    fn finish(&mut self, command: &str) {
        // No pipes: a daemon would keep them open.
        let log = self.folder.path().join("finished.log");
        let mut process = Process::start(command, &mut self.shell(command), &log);
        let status = wait::until(command, BUILD_MAX, || process.ended());
        assert!(status.success(), "{command}: {}", process.log());
        if command.starts_with("mosquitto_pub") {
            self.wait_arrival(command);
        }
    }

    /// What was published arrives at the subscriber of the README.
    fn wait_arrival(&self, command: &str) {
        let text = command.split('\'').nth(1).expect("the message is quoted");
        let (_, subscriber) =
            self.running.iter().find(|(command, _)| command.starts_with("mosquitto_sub")).unwrap();
        wait::until(command, wait::LONG, || {
            subscriber.log().contains(&format!("test/topic {text}\n")).then_some(())
        });
    }

    /// Ctrl-C for everything that still runs, the youngest first. Our own script ends well.
    fn end_section(&mut self) {
        for (command, mut process) in self.running.drain(..).rev() {
            process.signal("INT");
            let code = process.wait().code();
            if command.contains("scripts/") {
                assert_eq!(code, Some(0), "{command}: {}", process.log());
                assert!(process.log().contains("Stopped."), "{}", process.log());
            }
        }
    }
}

#[test]
fn every_command_of_the_readme_works() {
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    let mut readme = Readme::new();
    let mut commands = 0;
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = line == "```sh";
        } else if line.starts_with("## ") {
            readme.end_section();
        } else if in_block {
            readme.run(line);
            commands += 1;
        }
    }
    readme.end_section();
    assert!(commands >= 10, "the blocks of the README are marked sh: {commands} commands found");
}
