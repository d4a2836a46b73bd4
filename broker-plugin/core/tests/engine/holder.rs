//! The holder of sessions by itself.

use std::sync::Arc;

use broker_core::engine::Moment;
use broker_core::holder::{Holder, HolderConfig, Input, Output};
use bytes::Bytes;
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Lifetime, Open, Opened, Progress, RetainHandling, Start,
    SubscribeOptions, Tell,
};
use ha_types::{BrokerEpoch, ClusterMillis, Message, Millis, Publisher, Qos, SessionId, Ticket};

use crate::spec::packets::{name, subscription};

fn step(holder: &mut Holder, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    holder.step(Moment { now: Millis(0), cluster: ClusterMillis(0) }, input, &mut out);
    out
}

fn opened(holder: &mut Holder) -> Opened {
    let open = Open {
        connection: ConnectionId(1),
        client_id: "bob".into(),
        start: Start::Resume,
        lifetime: Lifetime::Unlimited,
        will: None,
        receive_maximum: 10,
    };
    match step(holder, Input::Ask(Ask::Open(open))).pop() {
        Some(Output::Tell(_, Tell::Opened(opened))) => opened,
        other => panic!("{other:?}"),
    }
}

fn message() -> Input {
    Input::Message(Arc::new(Message {
        topic: name("a"),
        payload: Bytes::new(),
        properties: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at: None,
        publisher: Publisher { session: SessionId(0), epoch: BrokerEpoch(0) },
    }))
}

#[test]
fn what_is_acknowledged_with_the_end_of_a_connection_is_not_counted_any_more() {
    let mut holder = Holder::new(HolderConfig::default());
    let session = opened(&mut holder).session;
    let options = SubscribeOptions {
        subscription: subscription("a"),
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Never,
        subscription_id: None,
    };
    let subscriptions = vec![options];
    step(&mut holder, Input::Ask(Ask::Subscribe { session, ticket: Ticket(1), subscriptions }));
    let mut offsets = Vec::new();
    for _ in 0..3 {
        for output in step(&mut holder, message()) {
            if let Output::Tell(_, Tell::Deliver { queued, .. }) = output {
                offsets.push(queued.offset);
            }
        }
    }
    assert_eq!((offsets.len(), holder.counts().queued), (3, 3));
    let progress = Progress { acknowledged: offsets[..2].to_vec(), ..Progress::default() };
    let cause = CloseCause::Disconnect;
    step(&mut holder, Input::Ask(Ask::Close { session, cause, progress, lifetime: None }));
    assert_eq!(holder.counts().queued, 1);
}
