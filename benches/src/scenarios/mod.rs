//! The scenarios, one file each: the floor by hand, and the work once for every runtime.

pub mod blocking;
pub mod bulk;
pub mod echo;
pub mod http;
pub mod http_bare;
pub mod http_memory;
pub mod memory;
pub mod observed;
pub mod pingpong;
pub mod spawn;
pub mod timeouts;
pub mod timers;
pub mod wake;
pub mod yield_;
pub mod zero;

use crate::scenario::Scenario;
use mio::{Events, Poll as Poller};
use std::io::ErrorKind;
use std::time::Duration;

/// All of them, in the order of the table.
pub fn all() -> Vec<Scenario> {
    [
        spawn::scenarios(),
        yield_::scenarios(),
        pingpong::scenarios(),
        wake::scenarios(),
        timers::scenarios(),
        timeouts::scenarios(),
        echo::scenarios(),
        bulk::scenarios(),
        blocking::scenarios(),
        memory::scenarios(),
        observed::scenarios(),
        http::scenarios(),
        http_memory::scenarios(),
        zero::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Waits for events, for a floor. Interruptions are ignored: glommio, run before in the same
/// process, leaves a timer behind that sends signals.
pub fn wait(poller: &mut Poller, events: &mut Events, timeout: Option<Duration>) {
    while let Err(error) = poller.poll(events, timeout) {
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    }
}
