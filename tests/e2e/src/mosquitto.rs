//! `mosquitto_sub` and `mosquitto_pub`, the clients that most people try first.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use crate::{
    process::run,
    wait::{self, LONG},
};

/// All versions, as the argument of `-V`.
pub const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// Before each message in the output, to tell it from what `-d` prints.
const MARK: &str = "message ";

/// Publishes with `mosquitto_pub`, with these arguments beside host and port. It must succeed.
pub fn publish(port: u16, arguments: &[&str]) {
    let output = run(Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(arguments));
    assert!(output.status.success(), "mosquitto_pub {arguments:?}: {output:?}");
}

/// A running `mosquitto_sub`.
#[derive(Debug)]
pub struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Starts it with these arguments beside host and port, and waits until it has subscribed.
    pub fn start(port: u16, arguments: &[&str]) -> Self {
        // -d tells when it has subscribed; stdbuf, because it would not tell a pipe at once.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-F", &format!("{MARK}%t %p qos=%q retain=%r")])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub is installed (scripts/test.sh does that)");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Ends when the process ends or the test has enough.
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let subscriber = Self { child, lines };
        subscriber.wait_subscribed();
        subscriber
    }

    /// Waits until it has subscribed, for the first time or again.
    pub fn wait_subscribed(&self) {
        wait::until("mosquitto_sub has subscribed", LONG, || {
            let line = self.lines.recv_timeout(LONG).expect("mosquitto_sub ended or is silent");
            line.starts_with("Subscribed ").then_some(())
        });
    }

    /// The next message as `topic payload qos=Q retain=R`.
    pub fn next(&self) -> String {
        self.next_within(LONG).expect("a message for mosquitto_sub")
    }

    /// As [`Subscriber::next`], or `None` after `limit`.
    pub fn next_within(&self, limit: Duration) -> Option<String> {
        let start = std::time::Instant::now();
        loop {
            let left = limit.checked_sub(start.elapsed())?;
            let line = self.lines.recv_timeout(left).ok()?;
            if let Some(message) = line.strip_prefix(MARK) {
                return Some(message.to_owned());
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
