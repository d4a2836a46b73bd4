//! One hop over loopback: frames from a client to a server that decodes them.
//!
//! Both ends run in this process, so the processor time is that of both together.

use std::time::Duration;

use bench_wire::frame;
use bytes::{Buf, Bytes, BytesMut};
use ha_proto::frames::{Reader, Up};
use ha_proto::v1::distributor_server::{Distributor, DistributorServer};
use ha_proto::v1::{self, distributor_client::DistributorClient};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status, Streaming};

use crate::MESSAGES;

/// Processor time per message through gRPC.
pub(crate) fn grpc(batch: usize) -> f64 {
    measured(batch, async move |frames| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = DistributorServer::new(Sink).max_decoding_message_size(1 << 20);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = Server::builder()
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .add_service(service)
            .serve_with_incoming(incoming);
        let serving = tokio::spawn(serving);
        let mut client = DistributorClient::connect(format!("http://{address}")).await.unwrap();
        let (sender, outgoing) = mpsc::channel(2);
        let sending = tokio::spawn(async move {
            let frame = frame(batch);
            for _ in 0..frames {
                sender.send(frame.clone()).await.unwrap();
            }
        });
        let mut done = client.attach(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        while done.message().await.unwrap().is_some() {}
        sending.await.unwrap();
        serving.abort();
    })
}

/// Processor time per message through plain TCP with a length before each frame.
pub(crate) fn raw(batch: usize) -> f64 {
    measured(batch, async move |frames| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (mut buffer, mut reader) =
                (BytesMut::with_capacity(1 << 20), Reader::<Up>::default());
            while socket.read_buf(&mut buffer).await.unwrap() > 0 {
                while let Some(bytes) = next(&mut buffer) {
                    let _ = reader.read(v1::UpstreamFrame::decode(bytes).unwrap()).unwrap();
                }
                buffer.reserve(1 << 16);
            }
        });
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let frame = frame(batch);
        let mut buffer = BytesMut::with_capacity(1 << 20);
        for _ in 0..frames {
            buffer.clear();
            buffer.extend_from_slice(&u32::try_from(frame.encoded_len()).unwrap().to_be_bytes());
            frame.encode(&mut buffer).unwrap();
            socket.write_all(&buffer).await.unwrap();
        }
        drop(socket);
        receiving.await.unwrap();
    })
}

fn next(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize)?;
    if buffer.len() < 4 + length {
        return None;
    }
    buffer.advance(4);
    Some(buffer.split_to(length).freeze())
}

fn measured(batch: usize, run: impl AsyncFn(usize)) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let frames = (MESSAGES / batch).min(1 << 14);
    let per_frame = frame(batch).items.len();
    let before = processor_time();
    runtime.block_on(run(frames));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let messages = (frames * per_frame) as f64;
    (processor_time() - before).as_secs_f64() * 1e9 / messages
}

/// User and system time of this process so far, from the kernel's clock ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

struct Sink;

#[tonic::async_trait]
impl Distributor for Sink {
    type AttachStream = ReceiverStream<Result<v1::DownstreamFrame, Status>>;
    type HeartbeatStream = ReceiverStream<Result<v1::HeartbeatResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::UpstreamFrame>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (sender, outgoing) = mpsc::channel(1);
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            let mut reader = Reader::<Up>::default();
            while let Some(frame) = incoming.message().await.unwrap() {
                let _ = reader.read(frame).unwrap();
            }
            drop(sender);
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn heartbeat(
        &self,
        _request: Request<Streaming<v1::HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
