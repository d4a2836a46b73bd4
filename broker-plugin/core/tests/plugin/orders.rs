//! What an operator wants of a broker comes down its stream.

use broker_core::Output;
use ha_types::link::Downstream;

use crate::common::Bench;

#[test]
fn order_to_drain_goes_to_the_shell_each_time_it_comes() {
    let mut bench = Bench::loaded();
    let per_second = Some(7);
    for _ in 0..2 {
        let outputs = bench.receive(Downstream::Drain { per_second });
        assert!(outputs.0.contains(&Output::Drain(Some(7))), "{:?}", outputs.0);
    }
    let outputs = bench.receive(Downstream::Undrain);
    assert!(outputs.0.contains(&Output::Undrain), "{:?}", outputs.0);
}
