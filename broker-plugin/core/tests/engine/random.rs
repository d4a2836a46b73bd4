//! Any sequence of what clients and networks may do, with answers of the holder that come when they
//! come: what clients see is held to what they were promised.

#[path = "random/device.rs"]
mod device;
#[path = "random/model.rs"]
mod model;

use proptest::prelude::*;

use self::model::{DEVICES, Model};

#[derive(Clone, Debug)]
enum Step {
    /// Also of a client that is connected: then it takes over from itself.
    Connect(usize, u16),
    Subscribe(usize, &'static str, usize),
    Unsubscribe(usize, &'static str),
    /// So many of them.
    Publish(usize, &'static str, usize, u8),
    /// The client reads so many packets.
    Read(usize, usize),
    /// The client answers so many of those that it has read.
    Answer(usize, usize),
    /// The client stops or goes on taking what comes to its socket.
    Turn(usize),
    Disconnect(usize),
    Crash(usize),
    /// The connection hears so many of the holder's answers.
    Hear(usize, usize),
    /// So do all, of all that there is, those that were taken over as well.
    HearAll,
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let device = || 0..DEVICES;
    let filter = || prop::sample::select(vec!["a", "b", "+", "#"]);
    let topic = prop::sample::select(vec!["a", "b"]);
    prop_oneof![
        4 => (device(), 1..5_u16).prop_map(|(at, window)| Step::Connect(at, window)),
        5 => (device(), filter(), 0..3_usize).prop_map(|(at, f, qos)| Step::Subscribe(at, f, qos)),
        1 => (device(), filter()).prop_map(|(at, filter)| Step::Unsubscribe(at, filter)),
        12 => (device(), topic, 0..3_usize, 1..6_u8)
            .prop_map(|(at, topic, qos, count)| Step::Publish(at, topic, qos, count)),
        14 => (device(), 1..8_usize).prop_map(|(at, count)| Step::Read(at, count)),
        12 => (device(), 1..6_usize).prop_map(|(at, count)| Step::Answer(at, count)),
        2 => device().prop_map(Step::Turn),
        1 => device().prop_map(Step::Disconnect),
        1 => device().prop_map(Step::Crash),
        8 => (device(), 1..5_usize).prop_map(|(at, count)| Step::Hear(at, count)),
        4 => Just(Step::HearAll),
        1 => prop::sample::select(vec![50, 100, 1_000]).prop_map(Step::Pause),
    ]
}

fn take(model: &mut Model, step: &Step) {
    match *step {
        Step::Connect(at, window) => model.connect(at, window),
        Step::Subscribe(at, filter, qos) => model.subscribe(at, filter, qos),
        Step::Unsubscribe(at, filter) => model.unsubscribe(at, filter),
        Step::Publish(at, topic, qos, count) => {
            for _ in 0..count {
                model.publish(at, topic, qos);
                model.check();
            }
        }
        Step::Read(at, count) => {
            model.read(at, count);
        }
        Step::Answer(at, count) => {
            model.answer(at, count);
        }
        Step::Turn(at) => model.turn(at),
        Step::Disconnect(at) => model.disconnect(at),
        Step::Crash(at) => model.crash(at),
        Step::Hear(at, count) => model.hear(at, count),
        Step::HearAll => model.hear_all(),
        Step::Pause(ms) => model.broker.pass(ms),
    }
}

fn run(mut model: Model, steps: &[Step]) {
    (0..DEVICES).for_each(|at| model.connect(at, 2));
    for step in steps {
        take(&mut model, step);
        model.check();
    }
    model.settle();
    model.check_deliveries();
    model.end_all();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::CASES))]

    #[test]
    fn clients_get_what_they_were_promised(steps in prop::collection::vec(step(), 0..400)) {
        run(Model::new(), &steps);
    }

    #[test]
    fn clients_get_what_they_were_promised_however_late_the_holder_answers(
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let mut model = Model::new();
        model.broker.hold_answers();
        run(model, &steps);
    }
}
