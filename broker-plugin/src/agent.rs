//! The agent-check of HAProxy: one line for whoever connects, then the end.

use std::time::Duration;

use broker_core::standing::Agent;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

/// Answers that are being written at a time; further connections wait in the backlog.
const ANSWERS_MAX: usize = 32;

/// How long one answer may take: it fits into any socket's buffer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Pause after `accept` failed, usually because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers for ever, from what was said last.
pub(crate) async fn serve(listener: TcpListener, agent: watch::Receiver<Agent>) {
    let mut answers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = answers.join_next() => continue,
            accepted = listener.accept(), if answers.len() < ANSWERS_MAX => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let line = agent.borrow().line();
                answers.spawn(time::timeout(ANSWER_MAX, answer(stream, line)));
            }
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(mut stream: TcpStream, line: &'static str) {
    // Nothing is lost with a check that failed halfway: it asks again.
    if stream.write_all(line.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn each_connection_gets_what_was_said_last_and_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (say, said) = watch::channel(Agent::Up);
        let serving = tokio::spawn(serve(listener, said));
        for (agent, line) in [(Agent::Up, "up 100% ready\n"), (Agent::Drain, "drain\n")] {
            say.send_replace(agent);
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut got = String::new();
            stream.read_to_string(&mut got).await.unwrap();
            assert_eq!(got, line);
        }
        serving.abort();
    }
}
