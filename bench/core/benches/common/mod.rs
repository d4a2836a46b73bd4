//! How long each benchmark is measured.

use std::time::Duration;

use criterion::Criterion;

/// Short rounds: the whole suite is for every change, not for the last percent.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .configure_from_args()
}
