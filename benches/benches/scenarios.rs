#![forbid(unsafe_code)]
//! The scenarios under criterion: one benchmark for each scenario and contestant, with criterion's
//! statistics and its own report. The figure is the scenario's first row. Not for ratios: criterion
//! measures one function to its end before it begins the next. The `compare` program interleaves them.
//!
//! No Observer is installed. Scenarios that need a process of their own are `compare`'s alone.

use criterion::{Criterion, criterion_group, criterion_main};
use mainspring_benches::scenario::Unit;
use mainspring_benches::{scenarios, servers};
use std::time::Duration;

fn all(criterion: &mut Criterion) {
    let _nginx = servers::start_nginx();
    for scenario in scenarios::all() {
        if scenario.isolated {
            continue;
        }
        let nanos = match scenario.rows[0].unit {
            Unit::Micros => 1e3,
            Unit::Millis => 1e6,
            Unit::Nanos | Unit::Bytes | Unit::Mebibytes | Unit::Times => 1.0,
        };
        let mut group = criterion.benchmark_group(scenario.id);
        for contestant in &scenario.contestants {
            if let Some(reason) = (contestant.unavailable)() {
                println!("{}: {} is SKIPPED: {reason}", scenario.id, contestant.name);
                continue;
            }
            // A round does the operation many times and says what one of them took; criterion is
            // told the time of as many as it asked for.
            group.bench_function(contestant.name, |bencher| {
                bencher.iter_custom(|operations| {
                    let figure = (contestant.round)()[0] * nanos;
                    Duration::from_nanos((figure * operations as f64) as u64)
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_millis(500));
    targets = all
}
criterion_main!(benches);
