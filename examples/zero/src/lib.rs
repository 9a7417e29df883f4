#![forbid(unsafe_code)]
//! From nothing to an event loop, in eight steps: each is a library of one file, complete in itself, and
//! the one before it plus one idea. README.md is where to begin.
#![expect(clippy::duplicate_mod, reason = "the sockets of steps 7 and 8 are one file: net.rs")]

pub mod step1;
pub mod step2;
pub mod step3;
pub mod step4;
pub mod step5;
pub mod step6;
pub mod step7;
pub mod step8;

/// Step 8 with the trace of the appendix.
pub mod traced {
    include!(concat!(env!("OUT_DIR"), "/traced.rs"));
}

/// Step 8 with the first refinement of `text/refine.md`: the poller is asked less often.
pub mod refined1 {
    include!(concat!(env!("OUT_DIR"), "/refined1.rs"));
}

/// With the second, too: the clock and the inbox are looked at less often.
pub mod refined2 {
    include!(concat!(env!("OUT_DIR"), "/refined2.rs"));
}

/// With the third, too: a waker for each task, not for each poll.
pub mod refined3 {
    include!(concat!(env!("OUT_DIR"), "/refined3.rs"));
}

/// With all four: a hashed table.
pub mod refined4 {
    include!(concat!(env!("OUT_DIR"), "/refined4.rs"));
}
