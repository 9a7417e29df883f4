//! How a runtime is set up.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::blocking::Pool;
use crate::context::Core;
use crate::inbox::Inbox;
use crate::observe::tap::Tap;
use crate::observe::{CauseKind, Observer};
use crate::reactor::Reactor;
use crate::ready::Scheduler;
use crate::runtime::Runtime;
use crate::stats::Counters;
use crate::task::TaskId;
use crate::task::table::{MAIN, Table};
use crate::time::clock::{Clock, Time};
use crate::time::queue::TimerQueue;

/// Polls after which a busy loop looks at timers and I/O, unless [`Builder::poll_interval`] says
/// otherwise. A poll that does I/O takes microseconds, a look about half of one; and no timer is later
/// than this many polls take.
pub const DEFAULT_POLL_INTERVAL: u32 = 64;
/// Threads of the blocking pool at most, unless [`Builder::blocking_threads`] says otherwise.
pub const DEFAULT_BLOCKING_THREADS: usize = 512;
/// How long an idle thread of the blocking pool stays, unless [`Builder::blocking_idle`] says otherwise.
pub const DEFAULT_BLOCKING_IDLE: Duration = Duration::from_secs(10);

/// Sets up a [`Runtime`].
#[must_use = "a builder does nothing until build() is called"]
pub struct Builder {
    name: String,
    clock: Clock,
    scheduler: Scheduler,
    poll_interval: u32,
    blocking_threads: usize,
    blocking_idle: Duration,
    tap: Option<Tap>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            name: "mainspring".to_owned(),
            clock: Clock::Real,
            scheduler: Scheduler::Fifo,
            poll_interval: DEFAULT_POLL_INTERVAL,
            blocking_threads: DEFAULT_BLOCKING_THREADS,
            blocking_idle: DEFAULT_BLOCKING_IDLE,
            tap: None,
        }
    }

    /// The runtime's name, also that of its blocking threads. "mainspring" by default.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// The clock it lives by. The real one by default.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// In which order ready tasks are polled. First in, first out by default.
    pub fn scheduler(mut self, scheduler: Scheduler) -> Builder {
        self.scheduler = scheduler;
        self
    }

    /// After how many polls a busy loop looks at timers and I/O; 0 counts as 1.
    /// [`DEFAULT_POLL_INTERVAL`] by default.
    pub fn poll_interval(mut self, polls: u32) -> Builder {
        self.poll_interval = polls.max(1);
        self
    }

    /// How many threads the blocking pool may have; 0 counts as 1. [`DEFAULT_BLOCKING_THREADS`] by
    /// default. None is started before there is a job for it.
    pub fn blocking_threads(mut self, threads: usize) -> Builder {
        self.blocking_threads = threads.max(1);
        self
    }

    /// How long an idle thread of the blocking pool stays. [`DEFAULT_BLOCKING_IDLE`] by default.
    pub fn blocking_idle(mut self, idle: Duration) -> Builder {
        self.blocking_idle = idle;
        self
    }

    /// Who is told of every transition. Nobody by default.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Builder {
        self.tap = Some(Tap::new(observer));
        self
    }

    /// Builds the runtime.
    ///
    /// # Errors
    /// If the operating system refuses a poller, mostly for want of descriptors.
    pub fn build(self) -> io::Result<Runtime> {
        let (reactor, poller_waker) = Reactor::new()?;
        let pool = Pool::new(self.name.clone(), self.blocking_threads, self.blocking_idle);
        let core = Core {
            name: self.name,
            time: Time::new(self.clock),
            reactor,
            timers: RefCell::new(TimerQueue::default()),
            table: RefCell::new(Table::new(self.scheduler)),
            inbox: Arc::new(Inbox::new(poller_waker)),
            remotes: RefCell::default(),
            pool,
            counters: Counters::default(),
            tap: self.tap,
            polled: Cell::new(TaskId::new(0, MAIN)),
            own_waker: Cell::new(std::ptr::null()),
            cancel_running: Cell::new(false),
            cause: Cell::new((CauseKind::Outside, 0)),
            transfer_left: Cell::new(0),
            last_task: Cell::new(0),
            entered_at: Cell::new(Location::caller()),
            closing: Cell::new(false),
        };
        Ok(Runtime::new_with(Rc::new(core), self.poll_interval))
    }
}
