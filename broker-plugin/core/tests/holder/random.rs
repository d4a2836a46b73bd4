//! Any sequence of what clients, engines and the network may do, held to a model of what clients
//! must see.

use proptest::prelude::*;

use crate::model::{CLIENTS, Connect, Kind, Model};

#[derive(Clone, Debug)]
enum Step {
    Connect(usize, Connect),
    Subscribe(usize, &'static str, u32),
    Unsubscribe(usize, &'static str),
    Publish(usize, &'static str, u32),
    /// The last QoS 2 publish that was not released, again.
    Repeat(usize),
    Release(usize),
    /// The client answers so many of the packets that it has.
    Answer(usize, usize),
    /// The engine reports what its client answered.
    Report(usize),
    /// Takes what was evicted, or what the client disconnects.
    Close(usize, Closing),
    Pause(u64),
}

#[derive(Clone, Copy, Debug)]
enum Closing {
    Disconnect,
    Failure,
    /// What the client answered is lost with the engine.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    let kind = prop::sample::select(vec![Kind::Forever, Kind::Seconds, Kind::Ephemeral]);
    let connect = (prop::bool::weighted(0.2), kind, prop::option::of(0..4_u32));
    let filter = || prop::sample::select(vec!["a", "b", "#", "+", "$share/g/s"]);
    let topic = prop::sample::select(vec!["a", "b", "s"]);
    let closing = prop::sample::select(vec![Closing::Disconnect, Closing::Failure, Closing::Crash]);
    prop_oneof![
        5 => (client(), connect).prop_map(|(client, (is_clean, kind, will_delay_s))| {
            Step::Connect(client, Connect { is_clean, kind, will_delay_s })
        }),
        4 => (client(), filter(), 0..3_u32).prop_map(|(c, f, qos)| Step::Subscribe(c, f, qos)),
        1 => (client(), filter()).prop_map(|(c, f)| Step::Unsubscribe(c, f)),
        12 => (client(), topic, 1..3_u32).prop_map(|(c, t, qos)| Step::Publish(c, t, qos)),
        2 => client().prop_map(Step::Repeat),
        3 => client().prop_map(Step::Release),
        10 => (client(), 1..5_usize).prop_map(|(c, count)| Step::Answer(c, count)),
        8 => client().prop_map(Step::Report),
        4 => (client(), closing).prop_map(|(c, closing)| Step::Close(c, closing)),
        3 => prop_oneof![Just(50_u64), Just(100), Just(1_000), Just(2_500)].prop_map(Step::Pause),
    ]
}

fn take(model: &mut Model, step: &Step) {
    use ha_types::session::CloseCause::{Disconnect, Failure};
    match *step {
        Step::Connect(client, connect) => model.connect(client, connect),
        Step::Subscribe(client, filter, qos) => model.subscribe(client, filter, qos),
        Step::Unsubscribe(client, filter) => model.unsubscribe(client, filter),
        Step::Publish(client, topic, qos) => model.publish(client, topic, qos),
        Step::Repeat(client) => model.repeat(client),
        Step::Release(client) => model.release(client),
        Step::Answer(client, count) => model.answer(client, count),
        Step::Report(client) => model.report(client),
        Step::Close(client, Closing::Disconnect) => model.close(client, Disconnect),
        Step::Close(client, Closing::Failure) => model.close(client, Failure),
        Step::Close(client, Closing::Crash) => model.crash(client),
        Step::Pause(ms) => model.pause(ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn clients_get_what_they_were_promised_whatever_happens(
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut model = Model::new();
        for step in &steps {
            take(&mut model, step);
        }
        model.settle();
        model.check_deliveries();
        model.end_all();
    }
}
