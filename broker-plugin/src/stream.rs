//! One gRPC connection to ha-server: the plugin's items in frames, and back. [`here`] is the same within
//! this process.
//!
//! Bulk and heartbeats have a TCP connection each, so that a full window of the one does not delay
//! the other.

pub(crate) mod here;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker_core::StreamId;
use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::distributor_client::DistributorClient;
use ha_proto::v1::{self, heartbeat_response::State};
use ha_types::BrokerEpoch;
use ha_types::limits::FRAME_BYTES_MAX;
use ha_types::link::{Downstream, Upstream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// How long a TCP connection may take to open. The plugin waits for Welcome a little longer.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How often a silent connection is asked whether it is still there, and how long the answer may
/// take. Heartbeats have a connection of their own: they say nothing about the one for bulk.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Items taken from the queue at a time; they become one or a few frames.
const BATCH: usize = 1_024;

/// Frames that wait for the network.
const FRAMES_MAX: usize = 2;

/// An item and what it weighs.
pub(crate) type Weighed = (Upstream, usize);

/// What a stream tells the plugin's task.
pub(crate) enum FromStream {
    Received(StreamId, Vec<Downstream>),
    /// So many bytes of the queue were written.
    Written(StreamId, usize),
    Broken(StreamId, String),
    HeartbeatKept(StreamId, u64, u64),
    HeartbeatFenced(StreamId),
}

/// The plugin task's ends of a stream.
pub(crate) struct Ends {
    pub(crate) items: mpsc::UnboundedReceiver<Weighed>,
    pub(crate) heartbeats: mpsc::UnboundedReceiver<(BrokerEpoch, u64)>,
    pub(crate) events: mpsc::Sender<FromStream>,
    pub(crate) urgent: mpsc::Sender<FromStream>,
    /// Whether the broker drains: heartbeats say so.
    pub(crate) is_draining: Arc<AtomicBool>,
}

/// Connects and runs until the stream ends in either direction. Says so, unless it is aborted.
pub(crate) async fn run(stream: StreamId, address: String, ends: Ends) {
    let events = ends.events.clone();
    let detail = match attach(stream, &address, ends).await {
        Ok(()) => format!("ha-server at {address} ended the stream"),
        Err(error) => format!("ha-server at {address}: {}", whole(&*error)),
    };
    // An error means that the plugin's task is gone.
    let _ = events.send(FromStream::Broken(stream, detail)).await;
}

async fn attach(
    stream: StreamId,
    address: &str,
    ends: Ends,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let channel = endpoint(address)?.connect().await?;
    let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
    let mut client = client(channel);
    let writer = write(stream, ends.items, &ends.events, frames);
    let reader = async {
        let incoming = client.attach(ReceiverStream::new(outgoing)).await?.into_inner();
        read(stream, incoming, &ends.events).await
    };
    let beating = beat((stream, address), ends.heartbeats, &ends.urgent, &ends.is_draining);
    let (mut writer, mut beating) = (std::pin::pin!(writer), std::pin::pin!(beating));
    let mut reader = std::pin::pin!(reader);
    // The reader alone says when the stream is over: a goodbye is answered after the writer ended,
    // and heartbeats that fail leave it to the lease.
    let (mut wrote, mut beat) = (false, false);
    loop {
        tokio::select! {
            read = &mut reader => return read,
            () = &mut writer, if !wrote => wrote = true,
            () = &mut beating, if !beat => beat = true,
        }
    }
}

fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_ANSWER_MAX)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20))
}

fn client(channel: Channel) -> DistributorClient<Channel> {
    DistributorClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX)
}

/// Ends when the plugin has ended the stream and all is written, or when the stream is gone.
async fn write(
    stream: StreamId,
    mut items: mpsc::UnboundedReceiver<Weighed>,
    events: &mpsc::Sender<FromStream>,
    frames: mpsc::Sender<v1::UpstreamFrame>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while items.recv_many(&mut batch, BATCH).await > 0 {
        let bytes = batch.iter().map(|(_, bytes)| bytes).sum();
        for frame in pack::<Up>(batch.drain(..).map(|(item, _)| item)) {
            if frames.send(frame).await.is_err() {
                return;
            }
        }
        // An error means that the plugin's task stops; what it sent is written all the same.
        let _ = events.send(FromStream::Written(stream, bytes)).await;
    }
}

async fn read(
    stream: StreamId,
    mut incoming: tonic::Streaming<v1::DownstreamFrame>,
    events: &mpsc::Sender<FromStream>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut reader = Reader::<Down>::default();
    while let Some(frame) = incoming.message().await? {
        let items = reader.read(frame)?;
        // An error means that the plugin's task stops; ha-server ends the stream when it has read
        // the goodbye.
        let _ = events.send(FromStream::Received(stream, items)).await;
    }
    Ok(())
}

/// Sends heartbeats until there are no more. After a failure the next one is tried on a new stream.
async fn beat(
    (stream, address): (StreamId, &str),
    mut due: mpsc::UnboundedReceiver<(BrokerEpoch, u64)>,
    urgent: &mpsc::Sender<FromStream>,
    is_draining: &AtomicBool,
) {
    let request = |(epoch, sequence): (BrokerEpoch, u64)| {
        let duty = match is_draining.load(Ordering::Acquire) {
            true => v1::heartbeat_request::Duty::Drains,
            false => v1::heartbeat_request::Duty::Serves,
        };
        v1::HeartbeatRequest { epoch: epoch.0, sequence, duty: duty.into() }
    };
    while let Some(first) = due.recv().await {
        let to = (stream, address);
        if let Err(error) = beat_from(request(first), to, &mut due, urgent, &request).await {
            tracing::warn!("heartbeats to {address}: {}", whole(&*error));
        }
    }
}

/// Opens the heartbeat stream with the first heartbeat. Ends well only when there are no more.
async fn beat_from(
    first: v1::HeartbeatRequest,
    (stream, address): (StreamId, &str),
    due: &mut mpsc::UnboundedReceiver<(BrokerEpoch, u64)>,
    urgent: &mpsc::Sender<FromStream>,
    request: impl Fn((BrokerEpoch, u64)) -> v1::HeartbeatRequest,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let channel = endpoint(address)?.connect().await?;
    // A heartbeat that finds no room is late already; the next one is as good.
    let (requests, outgoing) = mpsc::channel(8);
    requests.try_send(first)?;
    let mut answers = client(channel).heartbeat(ReceiverStream::new(outgoing)).await?.into_inner();
    loop {
        tokio::select! {
            next = due.recv() => match next {
                None => return Ok(()),
                Some(heartbeat) => drop(requests.try_send(request(heartbeat))),
            },
            answer = answers.message() => {
                let Some(answer) = answer? else { return Err("the heartbeat stream ended".into()) };
                let event = match answer.state() {
                    State::Kept => {
                        FromStream::HeartbeatKept(stream, answer.sequence, answer.applied)
                    }
                    State::Fenced => FromStream::HeartbeatFenced(stream),
                };
                if urgent.send(event).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// An error with its causes, without what repeats.
fn whole(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let status = error.downcast_ref::<tonic::Status>();
    let mut text = status.map_or_else(
        || error.to_string(),
        |status| match status.message() {
            // Some servers give a code only, as those that do not know the service.
            "" => status.code().to_string(),
            message => message.to_owned(),
        },
    );
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
