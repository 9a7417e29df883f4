//! A future that is not awaited does nothing, and the compiler says so.
#![deny(unused_must_use)]

use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::time::{sleep, timeout};

fn main() {
    mainspring::run(async {
        sleep(Duration::ZERO);
        timeout(Duration::ZERO, yield_now());
        yield_now();
        mainspring::spawn(async {}).abort_on_drop();
    });
}
