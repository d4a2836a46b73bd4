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
use ha_member::distribute::{FromStream, Handle, QueueOut, Weighed, queue};
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::{self, distributor_server::Distributor as Service};
use ha_types::BrokerEpoch;
use ha_types::link::Duty;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

/// Open streams of all kinds: each broker has two, and may open new ones before old ones are gone.
const STREAMS_MAX: usize = 512;

/// How long a stream may stay without Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Items taken from a queue at a time; they become one or a few frames.
const BATCH: usize = 1_024;

/// How long what was sent before the end of a stream may take to be written. Nothing else bounds
/// the memory and the place of a stream that was ended because its broker does not read.
const LAST_ITEMS_MAX: Duration = Duration::from_secs(3);

/// Frames that wait for the network.
const FRAMES_MAX: usize = 2;

/// Implements the Distributor service.
#[derive(Clone)]
pub(crate) struct Streams {
    handle: Handle,
    next_stream: Arc<AtomicU64>,
    permits: Arc<Semaphore>,
    lease: Duration,
}

impl Streams {
    pub(crate) fn new(handle: Handle, lease_ms: u64) -> Self {
        let permits = Arc::new(Semaphore::new(STREAMS_MAX));
        let lease = Duration::from_millis(lease_ms);
        Self { handle, next_stream: Arc::new(AtomicU64::new(1)), permits, lease }
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
        let (queue, out) = queue();
        let inputs = self.handle.inputs.clone();
        let opened = FromStream::Opened(stream, address, queue);
        inputs.send(opened).await.map_err(|_| Status::unavailable("ha-server stops"))?;
        let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
        let reader = tokio::spawn(read(stream, request.into_inner(), inputs.clone()));
        tokio::spawn(async move {
            write(stream, out, &inputs, frames).await;
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
        let (handle, lease, incoming) = (self.handle.clone(), self.lease, request.into_inner());
        tokio::spawn(async move {
            answer_heartbeats(handle, lease, incoming, answers).await;
            drop(permit);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

/// Ends when the network did, and after a silence of a whole lease: then it keeps none.
async fn answer_heartbeats(
    handle: Handle,
    lease: Duration,
    mut incoming: Streaming<v1::HeartbeatRequest>,
    answers: mpsc::Sender<Result<v1::HeartbeatResponse, Status>>,
) {
    while let Ok(Ok(Some(request))) = time::timeout(lease, incoming.message()).await {
        let duty = duty(request.duty());
        let beat = match handle.heartbeat(BrokerEpoch(request.epoch), duty).await {
            Ok(answered) => answered,
            // The broker looks for the leader. It is not fenced: only a leader knows that.
            Err(no_answer) => {
                let status = Status::unavailable(no_answer.to_string());
                let _ = time::timeout(lease, answers.send(Err(status))).await;
                return;
            }
        };
        let state = match beat.answer {
            HeartbeatAnswer::Kept => v1::heartbeat_response::State::Kept,
            HeartbeatAnswer::Fenced => v1::heartbeat_response::State::Fenced,
        };
        let response = v1::HeartbeatResponse {
            epoch: request.epoch,
            sequence: request.sequence,
            state: state.into(),
            cluster_time_ms: beat.cluster_time.0,
            applied: beat.applied,
        };
        if !matches!(time::timeout(lease, answers.send(Ok(response))).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn duty(said: v1::heartbeat_request::Duty) -> Duty {
    match said {
        v1::heartbeat_request::Duty::Unknown => Duty::Unknown,
        v1::heartbeat_request::Duty::Serves => Duty::Serves,
        v1::heartbeat_request::Duty::Drains => Duty::Drains,
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
            // A broker that means it says Leave first; the core has ended the stream by then.
            Ok(None) => Input::Broken(stream),
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

/// Ends when the distributor ended the stream and all was written, or could not be in time, or when
/// the network ended it.
async fn write(
    stream: StreamId,
    QueueOut { items, ended }: QueueOut,
    inputs: &mpsc::Sender<FromStream>,
    frames: mpsc::Sender<Result<v1::DownstreamFrame, Status>>,
) {
    let too_late = async {
        // Its sender is only ever dropped.
        let _ = ended.await;
        time::sleep(LAST_ITEMS_MAX).await;
    };
    tokio::select! {
        () = write_items(stream, items, inputs, frames) => (),
        () = too_late => tracing::debug!(stream = stream.0, "its last items were not read"),
    }
}

async fn write_items(
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
        // An error means that ha-server stops; what it sent is written all the same.
        let _ = inputs.send(written).await;
    }
}

#[cfg(test)]
mod tests {
    use ha_types::Ticket;
    use ha_types::link::Downstream;

    use super::*;

    /// Time is paused, so the limit comes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn writer_to_a_peer_that_never_reads_ends_soon_after_its_stream() {
        let (queue, out) = queue();
        for ticket in 0..100_000 {
            assert!(
                queue.items.send((Downstream::InterestTaken { ticket: Ticket(ticket) }, 0)).is_ok()
            );
        }
        let (inputs, _from_streams) = mpsc::channel(256);
        let (frames, _never_read) = mpsc::channel(FRAMES_MAX);
        let mut writing = Box::pin(write(StreamId(1), out, &inputs, frames));
        let patience = LAST_ITEMS_MAX * 10;
        assert!(time::timeout(patience, &mut writing).await.is_err(), "its stream goes on");
        drop(queue);
        assert!(time::timeout(patience, writing).await.is_ok());
    }
}
