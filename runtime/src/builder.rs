//! How a runtime is set up.

use std::cell::{Cell, RefCell};
use std::io;
use std::num::NonZeroU32;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::blocking::Pool;
use crate::event_loop::Core;
use crate::event_loop::inbox::Inbox;
use crate::event_loop::ready::Scheduler;
use crate::event_loop::turn::EventLoop;
use crate::observe::Observer;
use crate::observe::event::CauseKind;
use crate::observe::slot::ObserverSlot;
use crate::reactor::Reactor;
use crate::runtime::Runtime;
use crate::stats::Counters;
use crate::task::table::Table;
use crate::time::clock::{Clock, Time};
use crate::time::queue::TimerQueue;

/// Polls after which a busy loop checks timers and I/O, unless [`Builder::poll_interval`] says
/// otherwise. A poll that does I/O takes microseconds, a check about half of one; and no timer is later
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
    observer: Option<ObserverSlot>,
}

impl Runtime {
    /// Sets up a runtime.
    pub fn builder() -> Builder {
        Builder {
            name: "mainspring".to_owned(),
            clock: Clock::Real,
            scheduler: Scheduler::Fifo,
            poll_interval: DEFAULT_POLL_INTERVAL,
            blocking_threads: DEFAULT_BLOCKING_THREADS,
            blocking_idle: DEFAULT_BLOCKING_IDLE,
            observer: None,
        }
    }
}

impl Builder {
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

    /// After how many polls a busy loop checks timers and I/O; 0 counts as 1.
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

    /// What is told of every transition. Nothing by default.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Builder {
        self.observer = Some(ObserverSlot::new(observer));
        self
    }

    /// Builds the runtime.
    ///
    /// ```
    /// use mainspring::{Runtime, time::Clock};
    ///
    /// let mut runtime = Runtime::builder().name("tests").clock(Clock::Virtual).build()?;
    /// runtime.block_on(mainspring::time::sleep(std::time::Duration::from_secs(3600)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the operating system refuses a poller, mostly for want of descriptors.
    #[track_caller]
    pub fn build(self) -> io::Result<Runtime> {
        let (reactor, poller_waker) = Reactor::new()?;
        let pool = Pool::new(self.name.clone(), self.blocking_threads, self.blocking_idle);
        let core = Core {
            name: self.name,
            time: Time::new(self.clock),
            reactor,
            timers: RefCell::new(TimerQueue::default()),
            tasks: RefCell::new(Table::new(next_runtime(), self.scheduler)),
            inbox: Arc::new(Inbox::new(poller_waker)),
            remotes: RefCell::default(),
            pool,
            counters: Counters::default(),
            observer: self.observer,
            running: Cell::new(None),
            step: Cell::new((CauseKind::Outside, 0)),
            transfer_left: Cell::new(0),
            last_task: Cell::new(0),
            entered_at: Cell::new(Location::caller()),
            closing: Cell::new(false),
        };
        Ok(Runtime { event_loop: EventLoop::new(Rc::new(core), self.poll_interval) })
    }
}

/// A number for a new runtime, which its task ids carry. It would take four thousand million runtimes in one
/// process for one to be used again.
fn next_runtime() -> NonZeroU32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX)
}
