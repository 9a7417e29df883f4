//! 2 of 14. What does one turn do, in what order, and when does it sleep? Next: `poll.rs`, what happens in a poll.
//!
//! Read [`EventLoop::turn`], then what it calls, from top to bottom.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_task::ArcWake;

use super::poll::Main;
use super::ready::Choice;
use super::stall::{self, Outside, StallReason};
use super::{Core, Message, catch, for_each, report};
use crate::observe::event::{CauseKind, Kind, LoopExit};
use crate::reactor::Ready;
use crate::stats::count;
use crate::task::join::{Callback, TaskRef};
use crate::task::table::Table;
use crate::task::waker::Header;
use crate::time::clock::{Clock, nanos};
use crate::time::queue::Fired;

/// How many timers a step fires at most. A busy loop then polls the tasks that they woke, and goes on.
const MAX_FIRED: usize = 1024;

/// How often a loop that sleeps only for the wakers of other threads looks whether one is left.
const STALL_CHECK: Duration = Duration::from_secs(1);

/// How a turn ended.
pub(crate) enum TurnEnd {
    /// There is more to do, or may be.
    Continue,
    /// The future given to `block_on` is done.
    MainDone,
    /// Nothing can ever happen again, or only if the virtual clock jumped over the world outside.
    Stalled(StallReason),
}

/// The core, and what only a turn needs.
pub(crate) struct EventLoop {
    pub(crate) core: Rc<Core>,
    /// How many polls a busy loop makes from one check of inbox, timers and events to the next.
    check_interval: u32,
    /// When the last sleep ended, if timers have not been fired since. Their clock need not be read again then.
    pub(crate) last_park_end: Option<Instant>,
    /// Read from the inbox, and not handled yet.
    pub(crate) messages: VecDeque<Message>,
    // Kept from step to step for their memory.
    fired: Vec<Fired>,
    ready_sources: Vec<Ready>,
    wakers: Vec<Waker>,
}

impl EventLoop {
    pub(crate) fn new(core: Rc<Core>, check_interval: u32) -> EventLoop {
        core.tasks.borrow_mut().ready.check_after(check_interval);
        let (messages, fired, ready_sources, wakers) = Default::default();
        let last_park_end = None;
        EventLoop { core, check_interval, last_park_end, messages, fired, ready_sources, wakers }
    }

    /// One turn of the loop.
    ///
    /// ```text
    ///  ┌─► 1 inbox     queue the tasks that other threads woke, spawned or cancelled
    ///  │   2 timers    if time has passed: wake what is due, in order of deadline, then of arming
    ///  │   3 poll      the batch that is ready now; what it wakes waits for the next
    ///  │   4 park      nothing is ready: wait for the next deadline, an event, or another thread
    ///  └── 5 dispatch  mark the directions that events made ready, wake what waits for them
    /// ```
    ///
    /// Inbox and timers come before the batch, so that what happened while the loop slept runs in the
    /// turn that the sleep ended. A turn without a sleep before it is short and does not read the clock. A loop that
    /// is never idle would never come to steps 4 and 5: so after every [`check_interval`](EventLoop::check_interval)
    /// polls, in a long batch or over many short ones, it checks inbox, timers and events without waiting.
    ///
    /// Every step is bounded: by the interval, by the batch, or by how many events are taken at a time.
    ///
    /// With `may_park` false the loop does not wait; it checks instead, whether it has more to do or not.
    pub(crate) fn turn(&mut self, main: &mut Option<Main<'_>>, may_park: bool) -> TurnEnd {
        self.start_turn();
        self.read_inbox(); // 1
        if self.last_park_end.is_some() || self.core.time.kind != Clock::Real {
            self.fire_timers(MAX_FIRED); // 2
        }
        self.run_callbacks(); // of tasks that ended before this turn
        let main_done = self.poll_batch(main); // 3
        let end = if main_done {
            TurnEnd::MainDone
        } else if !may_park {
            self.check();
            TurnEnd::Continue
        } else if self.has_work() {
            TurnEnd::Continue
        } else {
            self.park() // 4 and 5
        };
        self.core.emit(0, Kind::TurnEnded);
        end
    }

    fn start_turn(&self) {
        count(&self.core.counters.turns, 1);
        if self.core.is_observed() {
            let ready = self.core.tasks.borrow().ready.len() as u32;
            self.core.emit(0, Kind::TurnStarted { ready, turn: self.core.counters.turns.get() });
        }
    }

    /// Step 1. Handles as many messages as polls are made between two checks; more wait for the next time.
    fn read_inbox(&mut self) {
        if self.has_messages() {
            self.handle_messages();
        }
    }

    #[cold]
    fn handle_messages(&mut self) {
        let core = &self.core;
        if self.messages.is_empty() {
            core.inbox.collect(&mut self.messages);
        }
        let some = self.messages.len().min(self.check_interval as usize);
        count(&core.counters.messages, some as u64);
        core.tasks.borrow_mut().ready.count_work(some);
        for message in self.messages.drain(..some) {
            match message {
                Message::Wake { header, by: (kind, id) } => {
                    header.clear_wake_sent();
                    core.caused_by(kind, id, || Header::wake_by_ref(&header));
                }
                Message::Spawn(spawn) => {
                    if let Err(payload) = catch(|| spawn(core)) {
                        let message = payload.message();
                        report(format_args!("a remote spawn panicked before its task: {message}"));
                    }
                }
                Message::Cancel { task, request } => core.request_cancel(task, request),
                // It has ended the sleep. Whether there is anything left to sleep for, `park` finds out.
                Message::LastRemoteDropped => {}
            }
        }
    }

    /// Step 2. Fires timers that are due, at most `max`.
    fn fire_timers(&mut self, max: usize) {
        let core = &self.core;
        let last_park_end = self.last_park_end.take();
        if core.timers.borrow().armed == 0 {
            return;
        }
        let now = match last_park_end {
            // What an observer was told since then has a later time.
            Some(end) if !core.is_observed() && core.time.kind == Clock::Real => {
                core.time.nanos_at(end)
            }
            _ => core.time.now(),
        };
        core.timers.borrow_mut().expire(now, max, &mut self.fired);
        if let Some(observer) = &core.observer {
            observer.latest.set(now);
        }
        if self.fired.len() == max {
            self.last_park_end = last_park_end;
        }
        count(&core.counters.timers_fired, self.fired.len() as u64);
        for_each(self.fired.drain(..), |Fired { id, late, waker }| {
            core.emit(0, Kind::TimerFired { timer: id, late });
            core.caused_by(CauseKind::Timer, u64::from(id), || waker.wake());
        });
    }

    /// Calls the done-callbacks that are queued, at most as many as polls are made between two checks.
    fn run_callbacks(&self) {
        let queued = self.core.tasks.borrow().callbacks.len().min(self.check_interval as usize);
        for _ in 0..queued {
            let Some((task, callback)) = self.core.next_callback() else { return };
            self.core.tasks.borrow_mut().ready.count_work(1);
            let id = task.id();
            if let Err(payload) = catch(|| callback(task)) {
                let message = payload.message();
                report(format_args!("a done-callback of {id} panicked: {message}"));
            }
        }
    }

    /// Step 3. True if main is done.
    fn poll_batch(&mut self, main: &mut Option<Main<'_>>) -> bool {
        let mut main_done = false;
        self.core.tasks.borrow_mut().ready.start_batch();
        loop {
            let mut tasks = self.core.tasks.borrow_mut();
            if tasks.ready.check_is_due() {
                drop(tasks);
                self.check_mid_batch();
                continue;
            }
            if let Some(Choice { among, chosen }) = tasks.ready.choose() {
                drop(tasks);
                self.core.emit(0, Kind::Decided { among, chosen });
                tasks = self.core.tasks.borrow_mut();
            }
            let Some(slot) = tasks.ready.pop() else {
                // A turn that would do nothing but poll begins here, without a way out and in again: it
                // takes a third off the yield of a task that is alone.
                if main.is_some() && !main_done && self.next_turn_only_polls(&tasks) {
                    count(&self.core.counters.turns, 1);
                    tasks.ready.start_batch();
                    continue;
                }
                return main_done;
            };
            if let Some((id, on_take, task)) = tasks.take_ready(slot) {
                drop(tasks);
                self.core.poll_task(id, on_take, task);
            } else {
                drop(tasks);
                main_done |= self.poll_main(main);
            }
        }
    }

    fn next_turn_only_polls(&self, tasks: &Table) -> bool {
        let unseen = !self.core.is_observed() && self.core.time.kind == Clock::Real;
        let no_steps = tasks.callbacks.is_empty() && !self.has_messages();
        unseen && no_steps && tasks.ready.waiting_for_next() > 0
    }

    fn poll_main(&self, main: &mut Option<Main<'_>>) -> bool {
        let Some(main) = main else {
            unreachable!("the ready queue names tasks in their slots, and main while block_on runs")
        };
        self.core.poll_main(main).unwrap_or_else(|payload| {
            self.core.emit(0, Kind::TurnEnded);
            self.leave(LoopExit::MainPanicked);
            resume_unwind(payload.into_inner())
        })
    }

    /// A check in the middle of a batch. What waited for a timer or an event goes before the rest of the batch,
    /// instead of waiting for all of that as well; at most half as many as are polled from one check to the next,
    /// so that the rest goes on, too. More timers that are due wait for the next check.
    #[cold]
    fn check_mid_batch(&mut self) {
        let max = self.check_interval as usize / 2;
        self.read_inbox();
        let from = self.core.tasks.borrow().ready.waiting_for_next();
        self.check_timers_and_events(max.max(1));
        let mut tasks = self.core.tasks.borrow_mut();
        let place = tasks.ready.len() - (tasks.ready.waiting_for_next() - from);
        let count = tasks.ready.promote(from, max);
        drop(tasks);
        if count > 0 {
            self.core.emit(0, Kind::Advanced { from: place as u32, count: count as u32 });
        }
    }

    /// Checks inbox, timers and events, without waiting.
    pub(crate) fn check(&mut self) {
        self.read_inbox();
        self.check_timers_and_events(usize::MAX);
    }

    fn check_timers_and_events(&mut self, max_fired: usize) {
        self.fire_timers(max_fired);
        // Without a source there is nothing to ask the operating system for: other threads use the inbox.
        if self.core.reactor.len() > 0 {
            self.core.emit(0, Kind::Parked { timeout: 0 });
            let polled = self.core.reactor.wait(Some(Duration::ZERO));
            self.dispatch(polled);
        }
        self.core.tasks.borrow_mut().ready.check_after(self.check_interval);
    }

    /// Whether there is anything to do before the loop sleeps.
    pub(crate) fn has_work(&self) -> bool {
        let tasks = self.core.tasks.borrow();
        let ready = tasks.ready.len() > 0 || !tasks.callbacks.is_empty();
        ready || self.has_messages()
    }

    fn has_messages(&self) -> bool {
        !self.core.inbox.is_empty() || !self.messages.is_empty()
    }

    /// Steps 4 and 5, when nothing is ready.
    fn park(&mut self) -> TurnEnd {
        let core = &*self.core;
        let outside = Outside::of(core);
        let Some(deadline) = core.timers.borrow_mut().next_deadline() else {
            let wakers_only = outside.is_none();
            if wakers_only && core.inbox.is_empty() && stall::find(core).is_some() {
                return TurnEnd::Stalled(StallReason::NothingCanWake);
            }
            self.wait(None, wakers_only);
            return TurnEnd::Continue;
        };
        match core.time.kind {
            Clock::Real => {
                self.wait(Some(deadline), false);
                return TurnEnd::Continue;
            }
            Clock::Virtual if !outside.is_none() => {
                return TurnEnd::Stalled(StallReason::ClockWouldJump(outside));
            }
            _ => {}
        }
        if !outside.is_none() {
            self.check();
        }
        if !self.has_work() {
            let core = &*self.core;
            let to = deadline.max(core.time.now());
            core.time.jump(to);
            core.emit(0, Kind::ClockJumped { to });
        }
        TurnEnd::Continue
    }

    /// Waits for events, at most until `deadline`, unless another thread has sent a message meanwhile.
    /// `wakers_only`: nothing but a message can end it.
    fn wait(&mut self, deadline: Option<u64>, wakers_only: bool) {
        let core = &*self.core;
        if !core.inbox.fall_asleep() {
            return;
        }
        let before = Instant::now();
        let timeout = deadline.map(|deadline| {
            Duration::from_nanos(deadline.saturating_sub(core.time.nanos_at(before)))
        });
        core.emit(0, Kind::Parked { timeout: timeout.map_or(u64::MAX, nanos) });
        let waited = if wakers_only { self.wait_for_wakers() } else { core.reactor.wait(timeout) };
        core.inbox.wake_up();
        let after = Instant::now();
        // Without a deadline there is no timer that may be due.
        self.last_park_end = deadline.map(|_| after);
        count(&core.counters.parks, 1);
        count(&core.counters.parked_nanos, nanos(after - before));
        self.dispatch(waited);
    }

    /// Waits until a message comes, or until nothing is left that could send one: a thread that drops the last
    /// waker unused tells nothing, so the loop looks by itself.
    fn wait_for_wakers(&self) -> io::Result<()> {
        loop {
            self.core.reactor.wait(Some(STALL_CHECK))?;
            if !self.core.inbox.is_empty() || stall::find(&self.core).is_some() {
                return Ok(());
            }
        }
    }

    /// Step 5.
    fn dispatch(&mut self, waited: io::Result<()>) {
        let core = &self.core;
        if let Err(error) = waited {
            panic!("the operating system's poller failed: {error}");
        }
        core.tasks.borrow_mut().ready.check_after(self.check_interval);
        core.reactor.mark_ready(&mut self.ready_sources, &mut self.wakers);
        let events = self.ready_sources.len();
        count(&core.counters.io_events, events as u64);
        core.emit(0, Kind::Unparked { events: events as u32 });
        let mut wakers = self.wakers.drain(..);
        for_each(self.ready_sources.drain(..), |ready| {
            let Ready { source, readable, writable, wakers: count } = ready;
            core.emit(0, Kind::SourceReady { readable, writable, source });
            core.caused_by(CauseKind::Source, u64::from(source), || {
                for_each(wakers.by_ref().take(count), Waker::wake);
            });
        });
    }

    /// The loop hands the thread back.
    pub(crate) fn leave(&self, why: LoopExit) {
        self.core.emit(0, Kind::LoopLeft { why });
    }
}

impl Core {
    /// Takes the next callback of a finished task from the queue.
    pub(crate) fn next_callback(self: &Rc<Core>) -> Option<(TaskRef, Callback)> {
        let (slot, callback) = self.tasks.borrow_mut().callbacks.pop_front()?;
        Some((TaskRef::counted(self.clone(), slot), callback))
    }
}
