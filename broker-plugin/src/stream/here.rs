//! A stream to the distributor in this process: items go over as they are.

use std::sync::Arc;

use broker_core::StreamId;
use ha_member::alone::{Alone, Ended, HeartbeatAnswer, Pipe, PipeUp, bytes_of};
use ha_member::distribute::QueueOut;
use tokio::sync::mpsc;

use super::{BATCH, Ends, FromStream, Weighed};

/// Runs until the stream ends in either direction. Says so, unless it is aborted.
pub(crate) async fn run(stream: StreamId, alone: Arc<Alone>, ends: Ends) {
    let events = ends.events.clone();
    let detail = match attach(stream, &alone, ends).await {
        Ok(()) => "the stream ended".to_owned(),
        Err(error) => error.to_string(),
    };
    // An error means that the plugin's task is gone.
    let _ = events.send(FromStream::Broken(stream, detail)).await;
}

async fn attach(stream: StreamId, alone: &Alone, ends: Ends) -> Result<(), Ended> {
    let Ends { items, mut heartbeats, events, urgent, .. } = ends;
    let Pipe { up, down, open } = alone.open().await?;
    let writer = write(stream, &up, items, &events);
    let beating = async {
        while let Some((epoch, sequence)) = heartbeats.recv().await {
            let event = match alone.heartbeat(epoch).await {
                Ok((HeartbeatAnswer::Kept, applied)) => {
                    FromStream::HeartbeatKept(stream, sequence, applied)
                }
                Ok((HeartbeatAnswer::Fenced, _)) => FromStream::HeartbeatFenced(stream),
                // The lease decides.
                Err(_) => continue,
            };
            // An error means that the plugin's task is gone.
            let _ = urgent.send(event).await;
        }
    };
    let reader = read(stream, &up, down, &events);
    let (mut writer, mut beating) = (std::pin::pin!(writer), std::pin::pin!(beating));
    let mut reader = std::pin::pin!(reader);
    let (mut wrote, mut beat) = (false, false);
    let ended = loop {
        tokio::select! {
            read = &mut reader => break read,
            written = &mut writer, if !wrote => {
                written?;
                wrote = true;
            }
            () = &mut beating, if !beat => beat = true,
        }
    };
    drop(open);
    ended
}

/// Ends when the plugin has ended the stream.
async fn write(
    stream: StreamId,
    up: &PipeUp,
    mut items: mpsc::UnboundedReceiver<Weighed>,
    events: &mpsc::Sender<FromStream>,
) -> Result<(), Ended> {
    let mut batch = Vec::with_capacity(BATCH);
    while items.recv_many(&mut batch, BATCH).await > 0 {
        let bytes = batch.iter().map(|(_, bytes)| bytes).sum();
        up.items(batch.drain(..).map(|(item, _)| item).collect()).await?;
        // An error means that the plugin's task stops; what it sent is taken all the same.
        let _ = events.send(FromStream::Written(stream, bytes)).await;
    }
    Ok(())
}

/// Ends when the distributor has ended the stream.
async fn read(
    stream: StreamId,
    up: &PipeUp,
    mut down: QueueOut,
    events: &mpsc::Sender<FromStream>,
) -> Result<(), Ended> {
    let mut batch = Vec::with_capacity(BATCH);
    while down.items.recv_many(&mut batch, BATCH).await > 0 {
        let bytes = bytes_of(&batch);
        let items = batch.drain(..).map(|(item, _)| item).collect();
        // An error means that the plugin's task stops; the distributor ends the stream when it has
        // read the goodbye.
        let _ = events.send(FromStream::Received(stream, items)).await;
        up.written(bytes).await?;
    }
    Ok(())
}
