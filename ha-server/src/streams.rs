//! The Distributor service: gRPC streams on one side, inputs and outputs of the distributor on the
//! other.
//!
//! Each attached stream has a reader and a writer. The reader waits for the distributor when that
//! is busy, and so for nobody else; the writer waits for the network.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_core::{HeartbeatAnswer, Input, StreamId};
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::{self, distributor_server::Distributor as Service};
use ha_types::BrokerEpoch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::distribute::{FromStream, Handle, Weighed};

/// Open streams of all kinds: each broker has two, and may open new ones before old ones are gone.
const STREAMS_MAX: usize = 512;

/// How long a stream may stay without Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Items taken from a queue at a time; they become one or a few frames.
const BATCH: usize = 1_024;

/// Frames that wait for the network.
const FRAMES_MAX: usize = 2;

/// Implements the Distributor service.
#[derive(Clone)]
pub(crate) struct Streams {
    handle: Handle,
    next_stream: Arc<AtomicU64>,
    permits: Arc<Semaphore>,
}

impl Streams {
    pub(crate) fn new(handle: Handle) -> Self {
        let permits = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { handle, next_stream: Arc::new(AtomicU64::new(1)), permits }
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| Status::resource_exhausted(format!("{STREAMS_MAX} streams are open")))
    }
}

type FrameStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Service for Streams {
    type AttachStream = FrameStream<v1::DownstreamFrame>;
    type HeartbeatStream = FrameStream<v1::HeartbeatResponse>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::UpstreamFrame>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let permit = self.permit()?;
        let address = request.remote_addr().map_or_else(|| "unknown".into(), |a| a.to_string());
        let stream = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        let (queue, items) = mpsc::unbounded_channel();
        let inputs = self.handle.inputs.clone();
        let opened = FromStream::Opened(stream, address, queue);
        inputs.send(opened).await.map_err(|_| Status::unavailable("ha-server stops"))?;
        let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
        let reader = tokio::spawn(read(stream, request.into_inner(), inputs.clone()));
        tokio::spawn(async move {
            write(stream, items, &inputs, frames).await;
            reader.abort();
            // In case that the network ended it: tells the distributor, which otherwise knows.
            let _ = inputs.send(FromStream::Input(Input::Broken(stream))).await;
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }

    async fn heartbeat(
        &self,
        request: Request<Streaming<v1::HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let permit = self.permit()?;
        let (answers, outgoing) = mpsc::channel(FRAMES_MAX);
        let (handle, incoming) = (self.handle.clone(), request.into_inner());
        tokio::spawn(async move {
            answer_heartbeats(handle, incoming, answers).await;
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

async fn answer_heartbeats(
    handle: Handle,
    mut incoming: Streaming<v1::HeartbeatRequest>,
    answers: mpsc::Sender<Result<v1::HeartbeatResponse, Status>>,
) {
    while let Ok(Some(request)) = incoming.message().await {
        let Ok((answer, now)) = handle.heartbeat(BrokerEpoch(request.epoch)).await else { return };
        let state = match answer {
            HeartbeatAnswer::Kept => v1::heartbeat_response::State::Kept,
            HeartbeatAnswer::Fenced => v1::heartbeat_response::State::Fenced,
        };
        let response = v1::HeartbeatResponse {
            epoch: request.epoch,
            sequence: request.sequence,
            state: state.into(),
            cluster_time_ms: now.0,
        };
        if answers.send(Ok(response)).await.is_err() {
            return;
        }
    }
}

async fn read(
    stream: StreamId,
    mut incoming: Streaming<v1::UpstreamFrame>,
    inputs: mpsc::Sender<FromStream>,
) {
    let mut reader = Reader::<Up>::default();
    let mut said_hello = false;
    loop {
        let frame = match said_hello {
            true => incoming.message().await,
            false => match time::timeout(HELLO_TIMEOUT, incoming.message()).await {
                Ok(frame) => frame,
                Err(_) => Err(Status::deadline_exceeded("no Hello in time")),
            },
        };
        said_hello = true;
        let input = match frame {
            Ok(Some(frame)) => match reader.read(frame) {
                Ok(items) => Input::Received(stream, items),
                Err(error) => Input::Malformed(stream, error.to_string()),
            },
            Ok(None) => Input::HalfClosed(stream),
            // No Hello in time, or a frame that is too large: the network is well.
            Err(status) if matches!(status.code(), Code::DeadlineExceeded | Code::OutOfRange) => {
                Input::Malformed(stream, status.message().to_owned())
            }
            Err(status) => {
                tracing::debug!(stream = stream.0, %status, "stream broke");
                Input::Broken(stream)
            }
        };
        let is_last = !matches!(input, Input::Received(..));
        if inputs.send(FromStream::Input(input)).await.is_err() || is_last {
            return;
        }
    }
}

/// Ends when the distributor ended the stream and all was written, or when the network did.
async fn write(
    stream: StreamId,
    mut items: mpsc::UnboundedReceiver<Weighed>,
    inputs: &mpsc::Sender<FromStream>,
    frames: mpsc::Sender<Result<v1::DownstreamFrame, Status>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            received = items.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return;
                }
            }
            () = frames.closed() => return,
        }
        let bytes = batch.iter().map(|(_, bytes)| bytes).sum();
        for frame in pack::<Down>(batch.drain(..).map(|(item, _)| item)) {
            if frames.send(Ok(frame)).await.is_err() {
                return;
            }
        }
        let written = FromStream::Input(Input::Written(stream, bytes));
        if inputs.send(written).await.is_err() {
            return;
        }
    }
}
