//! A broker made of a bare gRPC client, so that it can also do what a real one never would.

use std::collections::VecDeque;
use std::time::Duration;

use ha_proto::frames::{Down, Reader, Up, pack};
use ha_proto::v1::distributor_client::DistributorClient;
use ha_proto::v1::{DownstreamFrame, UpstreamFrame};
use ha_types::link::{
    Downstream, Goodbye, Hello, Needs, RetainedUse, Upstream, VersionRange, Welcome,
};
use ha_types::{BrokerName, Incarnation, Ticket, TopicFilter};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::running::Running;

/// Nothing in these tests takes longer, on any machine, unless it hangs.
const HANG: Duration = Duration::from_secs(30);

pub(crate) struct Broker {
    frames: Option<mpsc::UnboundedSender<UpstreamFrame>>,
    incoming: Streaming<DownstreamFrame>,
    reader: Reader<Down>,
    items: VecDeque<Downstream>,
}

pub(crate) fn hello(name: &str) -> Hello {
    Hello {
        versions: VersionRange { min: 1, max: 1 },
        name: BrokerName::parse(name).unwrap(),
        incarnation: Incarnation(1),
        software: "test".into(),
        retained: RetainedUse::Copy,
    }
}

pub(crate) async fn client(server: &Running) -> DistributorClient<Channel> {
    let client = DistributorClient::connect(format!("http://{}", server.address)).await.unwrap();
    client.max_decoding_message_size(64 << 20).max_encoding_message_size(64 << 20)
}

impl Broker {
    /// Opens a stream and says nothing.
    pub(crate) async fn silent(server: &Running) -> Self {
        let (frames, outgoing) = mpsc::unbounded_channel();
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let incoming = client(server).await.attach(outgoing).await.unwrap().into_inner();
        let (reader, items) = (Reader::default(), VecDeque::new());
        Self { frames: Some(frames), incoming, reader, items }
    }

    pub(crate) async fn say(server: &Running, hello: Hello) -> Self {
        let mut broker = Self::silent(server).await;
        broker.send([Upstream::Hello(hello)]);
        broker
    }

    /// Attaches, takes Welcome, says that it has no sessions, and takes the empty transfer of
    /// retained messages.
    pub(crate) async fn attach(server: &Running, name: &str) -> (Self, Welcome) {
        let mut broker = Self::say(server, hello(name)).await;
        let Downstream::Welcome(welcome) = broker.next().await else { panic!("no Welcome") };
        broker.send([Upstream::Resumed]);
        assert_eq!(broker.next().await, Downstream::RetainedBegin);
        assert!(matches!(broker.next().await, Downstream::RetainedSynced { .. }));
        (broker, welcome)
    }

    /// Says that so many numbered messages are with their subscribers.
    pub(crate) fn received(&mut self, count: u64) {
        self.send([Upstream::Received { count }]);
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) {
        let filters = vec![TopicFilter::parse(filter.as_bytes()).unwrap()];
        self.send([Upstream::Announce { ticket: Ticket(7), needs: Needs::All, filters }]);
        assert_eq!(self.next().await, Downstream::InterestTaken { ticket: Ticket(7) });
    }

    pub(crate) fn send(&mut self, items: impl IntoIterator<Item = Upstream>) {
        pack::<Up>(items).into_iter().for_each(|frame| self.send_frame(frame));
    }

    pub(crate) fn send_frame(&mut self, frame: UpstreamFrame) {
        self.frames.as_ref().unwrap().send(frame).unwrap();
    }

    pub(crate) fn half_close(&mut self) {
        self.frames = None;
    }

    pub(crate) async fn next(&mut self) -> Downstream {
        self.next_or_end().await.unwrap().expect("the stream ended")
    }

    pub(crate) async fn next_or_end(&mut self) -> Result<Option<Downstream>, Status> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(Some(item));
            }
            let frame = timeout(HANG, self.incoming.message()).await.expect("no answer")?;
            let Some(frame) = frame else { return Ok(None) };
            self.items.extend(self.reader.read(frame).unwrap());
        }
    }

    /// The Goodbye that ends the stream.
    pub(crate) async fn goodbye(&mut self) -> Goodbye {
        loop {
            if let Downstream::Goodbye(goodbye) = self.next().await {
                assert_eq!(self.next_or_end().await.unwrap(), None, "something after Goodbye");
                return goodbye;
            }
        }
    }
}
