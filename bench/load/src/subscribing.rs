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

/// How often a silent subscriber looks whether the load has ended.
const SILENT_MAX: Duration = Duration::from_millis(200);

/// Receives until the load has ended and nothing more comes, or the broker closes.
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
            Err(_) if shared.ends.load(Ordering::Relaxed) => return Ok(seen),
            Err(_) => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::compose::Publish;
    use crate::packet::{Protocol, Stamp};
    use crate::run::tests::load;
    use crate::stream::Stream;

    /// One of many subscribers is served late when all of them have messages on their way.
    #[tokio::test]
    async fn what_comes_long_after_the_last_was_sent_is_counted_while_it_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut broker, _) = listener.accept().await.unwrap();
        let shared = Arc::new(Shared::new(load(0)));
        shared.stops.store(true, Ordering::Relaxed);
        let seen = Seen::new(&shared.load, 0);
        let socket = Stream::Plain(client).into_split();
        let receiving = receive(Arc::clone(&shared), seen, socket, BytesMut::new());
        let serving = async {
            time::sleep(SILENT_MAX * 3).await;
            let mut packet = BytesMut::new();
            let publish = Publish { protocol: Protocol::V311, qos: 0, padding: &[] };
            publish.put(&mut packet, "t", Stamp { publisher: 0, sequence: 0, meant_at_us: 0 });
            broker.write_all(&packet).await.unwrap();
            shared.flows[0].moved.notified().await;
            shared.ends.store(true, Ordering::Relaxed);
        };
        let both = async { tokio::join!(receiving, serving) };
        let (seen, ()) = time::timeout(Duration::from_secs(60), both).await.unwrap();
        assert!(seen.is_ok());
        assert_eq!(shared.flows[0].delivered.load(Ordering::Relaxed), 1);
    }
}
