//! One subscriber: takes what arrives, and answers it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time;

use crate::client;
use crate::compose::put_answer;
use crate::packet::{self, Packet};
use crate::run::Shared;
use crate::seen::Seen;
use crate::stream::{Reader, Writer, send};

/// How often a silent subscriber looks whether the load has stopped.
const SILENT_MAX: Duration = Duration::from_millis(200);

/// Receives until the load has stopped and nothing more comes, or the broker closes.
pub(crate) async fn receive(
    shared: Arc<Shared>,
    mut seen: Seen,
    (mut socket, mut writer): (Reader, Writer),
    mut buffer: BytesMut,
) -> io::Result<Seen> {
    let (protocol, mut answers) = (shared.load.connector.protocol, BytesMut::new());
    loop {
        while let Some(packet) = packet::next(&mut buffer, protocol) {
            if let Packet::Publish { stamp, .. } = packet {
                seen.take(&shared, stamp);
            }
            put_answer(&mut answers, packet);
        }
        seen.settle(&shared);
        if !answers.is_empty() {
            send(&mut writer, &answers).await?;
            answers.clear();
        }
        match time::timeout(SILENT_MAX, client::read(&mut socket, &mut buffer)).await {
            Ok(Ok(0)) => return Ok(seen),
            Ok(read) => drop(read?),
            Err(_) if shared.stops.load(Ordering::Relaxed) => return Ok(seen),
            Err(_) => (),
        }
    }
}
