//! The answers as a load balancer sees them: real sockets on port 0.

use std::sync::Arc;

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

struct Server {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(health: &Health, metrics: Metrics) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, health.clone(), metrics, stopped));
    Server { address, stop, task }
}

/// Status line, other header lines in lower case, body.
struct Answer {
    status: String,
    header: String,
    body: String,
}

impl Server {
    async fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (status, header) = head.split_once("\r\n").unwrap();
        let status = status.strip_prefix("HTTP/1.1 ").unwrap().to_owned();
        Answer { status, header: header.to_lowercase(), body: body.to_owned() }
    }
}

fn no_metrics() -> Metrics {
    Metrics::new(Registry::default())
}

fn failing(reason: &str) -> CheckState {
    CheckState::Failing(reason.to_owned())
}

#[tokio::test]
async fn livez_is_ok_until_the_process_is_stuck() {
    let health = Health::new(&["listener"]);
    let server = start(&health, no_metrics()).await;
    let answer = server.ask("GET /livez").await;
    assert_eq!((answer.status.as_str(), answer.body.as_str()), ("200 OK", "ok"));
    health.set_liveness(Liveness::Stuck("the apply loop hangs".to_owned()));
    let answer = server.ask("GET /livez").await;
    assert_eq!(answer.status, "503 Service Unavailable");
    assert_eq!(answer.body, "the apply loop hangs");
}

#[tokio::test]
async fn readyz_follows_every_check() {
    let health = Health::new(&["attached", "listener"]);
    let server = start(&health, no_metrics()).await;
    health.set_check("listener", CheckState::Passing);
    let answer = server.ask("GET /readyz").await;
    assert_eq!(answer.status, "503 Service Unavailable");
    assert!(answer.header.contains("content-type: application/json"));
    let report: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let checks = json!({"attached": "starting", "listener": "ok"});
    assert_eq!(report, json!({"ready": false, "checks": checks}));

    health.set_check("attached", CheckState::Passing);
    assert_eq!(server.ask("GET /readyz").await.status, "200 OK");
    health.set_check("attached", failing("no leader"));
    assert_eq!(server.ask("GET /readyz").await.status, "503 Service Unavailable");
}

#[tokio::test]
async fn readyz_shows_fields_that_do_not_change_readiness() {
    let health = Health::new(&[]);
    health.set_field("isolated", true);
    health.set_field("ready", "this name is taken");
    let answer = start(&health, no_metrics()).await.ask("GET /readyz").await;
    assert_eq!(answer.status, "200 OK");
    let report: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(report, json!({"ready": true, "checks": {}, "isolated": true}));
}

#[tokio::test]
async fn a_stuck_process_is_not_ready() {
    let health = Health::new(&[]);
    assert!(health.is_ready());
    health.set_liveness(Liveness::Stuck("why".to_owned()));
    assert!(!health.is_ready());
    let answer = start(&health, no_metrics()).await.ask("GET /readyz").await;
    assert_eq!(answer.status, "503 Service Unavailable");
    assert!(answer.body.contains(r#""live":"why""#), "{}", answer.body);
}

#[tokio::test]
async fn ready_returns_when_the_last_check_passes() {
    let health = Health::new(&["a", "b"]);
    let waiting = tokio::spawn({
        let health = health.clone();
        async move { health.ready().await }
    });
    health.set_check("a", CheckState::Passing);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    health.set_check("b", CheckState::Passing);
    waiting.await.unwrap();
}

#[tokio::test]
async fn metrics_are_open_metrics_text_with_refreshed_gauges() {
    let gauge = Gauge::<i64>::default();
    let mut registry = Registry::default();
    registry.register("sessions", "Sessions that are connected", gauge.clone());
    let metrics = Metrics::new(Arc::new(registry)).refreshed_by(move || {
        gauge.inc();
    });
    let server = start(&Health::new(&[]), metrics).await;
    for sessions in 1..=2 {
        let answer = server.ask("GET /metrics").await;
        assert_eq!(answer.status, "200 OK");
        let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(answer.header.contains(kind), "{}", answer.header);
        assert!(answer.body.contains(&format!("\nsessions {sessions}\n")), "{}", answer.body);
        assert!(answer.body.ends_with("# EOF\n"));
    }
}

#[tokio::test]
async fn head_has_the_header_of_get_and_no_body() {
    let server = start(&Health::new(&[]), no_metrics()).await;
    let answer = server.ask("HEAD /livez").await;
    assert_eq!((answer.status.as_str(), answer.body.as_str()), ("200 OK", ""));
    assert!(answer.header.contains("content-length: 2"));
}

#[tokio::test]
async fn another_path_is_told_which_ones_are_known() {
    let answer = start(&Health::new(&[]), no_metrics()).await.ask("GET /health").await;
    assert_eq!(answer.status, "404 Not Found");
    assert_eq!(answer.body, "known: /livez /readyz /metrics\n");
}

#[tokio::test]
async fn another_method_is_told_which_ones_are_allowed() {
    let answer = start(&Health::new(&[]), no_metrics()).await.ask("POST /livez").await;
    assert_eq!(answer.status, "405 Method Not Allowed");
    assert!(answer.header.contains("allow: get,head"), "{}", answer.header);
}

#[tokio::test]
async fn what_is_no_http_ends_that_connection_only() {
    let server = start(&Health::new(&[]), no_metrics()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"\x10\x0e\0\x04MQTT\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(server.ask("GET /livez").await.status, "200 OK");
}

/// Time is paused, so the limit comes as soon as nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_is_cut_off() {
    let server = start(&Health::new(&[]), no_metrics()).await;
    let started = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nX: ").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    assert!(started.elapsed() >= CONNECTION_TIME_MAX);
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_the_port_and_waits_for_nobody_for_long() {
    let server = start(&Health::new(&[]), no_metrics()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(server.ask("GET /livez").await.status, "200 OK");
    let asked = tokio::time::Instant::now();
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert!(asked.elapsed() < CONNECTION_TIME_MAX);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or_default(), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// The idle ones came first, so the last one is accepted only when their time is over.
#[tokio::test(start_paused = true)]
async fn a_connection_above_the_limit_waits_until_another_one_ends() {
    let server = start(&Health::new(&[]), no_metrics()).await;
    let started = tokio::time::Instant::now();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.ask("GET /livez").await.status, "200 OK");
    assert!(started.elapsed() >= CONNECTION_TIME_MAX);
}
