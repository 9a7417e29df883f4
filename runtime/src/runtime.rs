//! The loop. If you read one file of this crate, read this one, and in it [`Runtime::turn_with`].
//!
//! It has more than 400 lines, so that the ways into the loop, its turn and its end can be read in one go.

use std::borrow::Cow;
use std::cell::RefMut;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_task::waker_ref;

use crate::builder::Builder;
use crate::context::{self, Core, Entered, Letter, TRANSFER_BUDGET, catch};
use crate::observe::{CancelOrigin, CauseKind, Kind, Left, PollOutcome};
use crate::panics::{FirstPanic, wake_all};
use crate::reactor::Ready;
use crate::ready::Draw;
use crate::remote::Remote;
use crate::stall::{self, Stalled};
use crate::stats::{Stats, Turn};
use crate::task::error::message_of;
use crate::task::handle::JoinHandle;
use crate::task::state::{OnPending, OnTake};
use crate::task::table::{BoxedTask, MAIN, Table};
use crate::task::waker::{Header, Wakee};
use crate::time::clock::{Clock, nanos};
use crate::time::queue::Fired;

/// Runs a future to its end on a runtime of its own, and returns its output. Tasks that are left over
/// are cancelled and dropped.
///
/// ```
/// assert_eq!(mainspring::run(async { 6 * 7 }), 42);
/// ```
///
/// # Panics
/// As [`Runtime::new`] and [`Runtime::block_on`].
#[track_caller]
pub fn run<F: Future>(main: F) -> F::Output {
    Runtime::new().block_on(main)
}

/// Spawns a task on this thread's running loop. It starts with the next turn.
///
/// The future need not be `Send`: it never leaves the thread.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
#[inline]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    context::current("spawn").spawn(None, Location::caller(), future)
}

/// As [`spawn`], with a name that the task's handle, errors and events tell.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn_named<F: Future + 'static>(
    name: impl Into<Cow<'static, str>>,
    future: F,
) -> JoinHandle<F::Output> {
    context::current("spawn_named").spawn(Some(name.into()), Location::caller(), future)
}

/// One loop, on the thread that built it.
///
/// Dropping it drops every future that is left, in spawn order, and marks its task as cancelled by
/// shutdown. It waits for nothing: a blocking job that runs goes on by itself, and its result is
/// dropped; one that has not started never will.
pub struct Runtime {
    core: Rc<Core>,
    poll_interval: u32,
    /// It draws no lots, its clock is the real one, and nobody is told of its turns: one may go over into
    /// the next.
    steady: bool,
    /// It is steady, and nobody observes it.
    plain: bool,
    /// The time at which a rest ended that the timers have not been looked at since: the loop waited, or
    /// was not entered.
    rested: Option<Instant>,
    // Kept from turn to turn for their memory.
    letters: Vec<Letter>,
    fired: Vec<Fired<Wakee>>,
    ready: Vec<Ready>,
    wakers: Vec<Waker>,
}

/// How often a loop that sleeps only for the wakers of other threads looks whether one is left.
const STALL_CHECK: Duration = Duration::from_secs(1);

/// Polls the future given to `block_on`; ready means that its output has been stored.
type PollMain<'a> = &'a mut dyn FnMut(&mut Context<'_>) -> Poll<()>;

impl Runtime {
    /// A runtime with the defaults.
    ///
    /// # Panics
    /// If the operating system refuses a poller; [`Builder::build`] returns that as an error.
    #[track_caller]
    pub fn new() -> Runtime {
        match Runtime::builder().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the operating system refuses a poller: {error}"),
        }
    }

    /// Sets up a runtime.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new_with(core: Rc<Core>, poll_interval: u32) -> Runtime {
        let tells_all = core.tap.as_ref().is_some_and(|tap| tap.all);
        let draws = core.table.borrow().ready.draws();
        let steady = !tells_all && !draws && core.time.kind() == Clock::Real;
        let plain = steady && core.tap.is_none();
        core.table.borrow_mut().ready.look_after(poll_interval);
        let (letters, fired, ready, wakers) = Default::default();
        Runtime { core, poll_interval, steady, plain, rested: None, letters, fired, ready, wakers }
    }

    /// The name it was built with.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Spawns a task. It starts with the next turn.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.core.clone().spawn(None, Location::caller(), future)
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        Remote::new(&self.core)
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Runs the loop until `main` is over, and returns its output.
    ///
    /// May be called any number of times; tasks left over go on at the next. `main` may borrow from its
    /// surroundings.
    ///
    /// # Panics
    /// If `main` panics; if a loop runs on this thread already (the message names both places); and
    /// if the loop can never go on, with the text of [`Stalled`].
    #[track_caller]
    pub fn block_on<F: Future>(&mut self, main: F) -> F::Output {
        match self.try_block_on(main) {
            Ok(output) => output,
            Err(stalled) => panic!("{stalled}"),
        }
    }

    /// As [`block_on`](Runtime::block_on), but returns a stall as an error.
    ///
    /// # Errors
    /// [`Stalled`] if nothing is ready, no timer is armed, no source registered, no blocking job
    /// under way, no [`Remote`] left, and nobody holds a waker of a pending task: nothing can ever happen
    /// again. The tasks stay as they are; `main` is dropped.
    ///
    /// # Panics
    /// As [`block_on`](Runtime::block_on), stalls excepted.
    #[track_caller]
    pub fn try_block_on<F: Future>(&mut self, main: F) -> Result<F::Output, Stalled> {
        let caller = Location::caller();
        let _entered = self.enter(caller);
        let number = self.core.next_number();
        self.core.counters.mains.add(1);
        let id = self.core.table.borrow_mut().insert_main(number, caller, &self.core.inbox);
        self.core.tell_spawned(id, size_of::<F>());
        self.core.enqueue(MAIN);

        let mut main = pin!(main);
        let mut output = None;
        let mut poll_main = |cx: &mut Context<'_>| main.as_mut().poll(cx).map(|o| output = Some(o));
        // Goes before `main` does: what main's drop wakes is over then.
        let _place = MainPlace(self.core.clone());
        if self.turn_until_done(&mut poll_main) == Ended::Stalled {
            self.leave(Left::Stalled);
            let tasks = stall::find(&self.core).unwrap_or_default();
            return Err(Stalled::new(tasks, caller));
        }
        self.leave(Left::MainDone);
        Ok(output.expect("main is done"))
    }

    /// Makes turns until main is done or nothing can happen any more.
    fn turn_until_done(&mut self, main: PollMain<'_>) -> Ended {
        let mut main = Some(main);
        loop {
            let ended = self.turn_with(&mut main, true);
            if ended != Ended::Turn {
                return ended;
            }
        }
    }

    /// Makes one turn: polls what is ready, then, if nothing is, waits until something may be.
    ///
    /// Returns at once if there is nothing to poll and nothing to wait for.
    ///
    /// # Panics
    /// If a loop runs on this thread already.
    #[track_caller]
    pub fn turn(&mut self) -> Turn {
        let _entered = self.enter(Location::caller());
        let before = self.core.so_far();
        // A stall is no news to somebody who turns the loop by hand: the turn has simply done nothing.
        self.turn_with(&mut None, true);
        self.leave(Left::TurnDone);
        self.core.so_far().since(before)
    }

    /// Makes turns until nothing is ready, without waiting for anything. Returns their sum.
    ///
    /// # Panics
    /// If a loop runs on this thread already.
    #[track_caller]
    pub fn run_until_idle(&mut self) -> Turn {
        let _entered = self.enter(Location::caller());
        let before = self.core.so_far();
        self.look(usize::MAX);
        while self.has_work() {
            self.turn_with(&mut None, false);
        }
        self.leave(Left::Idle);
        self.core.so_far().since(before)
    }

    /// One turn of the loop.
    ///
    /// ```text
    ///  ┌─► 1 inbox     queue the tasks that other threads woke, spawned or cancelled
    ///  │   2 timers    read the clock once, wake what is due, in order of deadline, then of arming
    ///  │   3 poll      the batch that is ready now; whom it wakes waits for the next
    ///  │   4 park      nothing is ready: wait for the next deadline, an event, or another thread
    ///  └── 5 dispatch  mark the directions that events made ready, wake whoever waits for them
    /// ```
    ///
    /// Inbox and timers come before the batch, so that what came in while the loop slept runs in the
    /// turn that the sleep ended. On the real clock the timers are looked at only if it did sleep: a busy
    /// turn is short, and reading the clock may cost more than all the rest of it. The batch is what was
    /// ready when it began: a task that wakes itself for ever has its turn, and everything else has one
    /// too. A loop that is never idle would never reach steps 4 and 5; so after every `poll_interval`
    /// polls, inside of a long batch or over many short ones, it takes one look at timers and events
    /// without waiting. Whom that wakes goes before the rest of the batch.
    ///
    /// Callbacks of tasks that are over run between 2 and 3, that is, on the turn after.
    ///
    /// A turn that would find nothing to do but poll begins where the last one's batch ends: see
    /// [`next_batch`].
    ///
    /// A turn that must not wait (`may_park` is false) looks around instead, whether it has more to
    /// do or not.
    #[inline(always)]
    fn turn_with(&mut self, main: &mut Option<PollMain<'_>>, may_park: bool) -> Ended {
        self.start_turn();
        let main_done = self.poll_batch(main);
        let ended = if main_done {
            Ended::MainDone
        } else if !may_park {
            self.look(usize::MAX);
            Ended::Turn
        } else if self.has_work() {
            Ended::Turn
        } else {
            self.park()
        };
        self.core.tell_turn_ended();
        ended
    }

    /// Steps 1 and 2.
    #[inline(always)]
    fn start_turn(&mut self) {
        self.core.counters.turns.add(1);
        self.core.tell_turn_started();
        self.read_inbox();
        if self.rested.is_some() || self.core.time.kind() != Clock::Real {
            self.fire_timers(usize::MAX);
        }
        if !self.core.table.borrow().callbacks.is_empty() {
            self.run_callbacks();
        }
    }

    /// Step 3. True if main is done.
    #[inline(always)]
    fn poll_batch(&mut self, main: &mut Option<PollMain<'_>>) -> bool {
        let mut main_done = false;
        self.core.table.borrow_mut().ready.start_batch();
        loop {
            let over = match self.plain {
                true => self.poll_until_look::<true>(main, &mut main_done),
                false => self.poll_until_look::<false>(main, &mut main_done),
            };
            if over {
                return main_done;
            }
            self.look_amid_batch();
        }
    }

    /// Polls what is left of the batch, until a look is due. True if nothing is left.
    ///
    /// Compiled twice from the same text: in a plain loop nobody observes and nobody draws lots, and its
    /// polls do not ask. A steady loop goes over from batch to batch.
    #[inline(always)]
    fn poll_until_look<const PLAIN: bool>(
        &self,
        main: &mut Option<PollMain<'_>>,
        main_done: &mut bool,
    ) -> bool {
        let core = &*self.core;
        let mut goes_on = self.steady && main.is_some() && !*main_done;
        let mut table = core.table.borrow_mut();
        while !table.ready.look_is_due() {
            if !PLAIN && table.ready.draws() {
                drop(table);
                self.draw();
                table = core.table.borrow_mut();
            }
            let mut next = table.ready.pop();
            if next.is_none() && goes_on {
                next = next_batch(core, &mut table);
            }
            let Some(slot) = next else { return true };
            if let Some((task, header)) = table.take(slot) {
                drop(table);
                table = Self::poll_task::<PLAIN>(core, task, header);
            } else {
                assert!(slot == MAIN, "the ready queue names living tasks and main only");
                let header = table.header(MAIN).take();
                drop(table);
                *main_done |= self.poll_main(header, main.as_mut());
                goes_on &= !*main_done;
                table = core.table.borrow_mut();
            }
        }
        false
    }

    /// Draws who is next.
    #[cold]
    fn draw(&self) {
        let drawn = self.core.table.borrow_mut().ready.draw();
        if let Some(Draw { among, chosen }) = drawn {
            self.core.note(0, Kind::Decided { among, chosen });
        }
    }

    /// Polls one task, with nothing borrowed, and does what its state then asks for. Gives the table,
    /// which that may have needed, for the next one.
    #[inline(always)]
    fn poll_task<'a, const PLAIN: bool>(
        core: &'a Core,
        mut task: BoxedTask,
        header: Arc<Header>,
    ) -> RefMut<'a, Table> {
        if header.state.take() == OnTake::Drop {
            core.counters.unpolled.add(1);
            core.cancel(header, task);
            return core.table.borrow_mut();
        }
        let waker = waker_ref(&header);
        start_poll(core, header.id(), &waker);
        if !PLAIN {
            core.tell_poll_started(header.id());
        }
        let polled = catch(|| task.as_mut().poll(&mut Context::from_waker(&waker)));
        let outcome = match polled {
            Ok(Poll::Pending) => PollOutcome::Pending,
            Ok(Poll::Ready(())) => PollOutcome::Ready,
            Err(payload) => {
                core.fail(header.id(), task.as_mut(), payload);
                PollOutcome::Panicked
            }
        };
        if end_poll(core) {
            // What this asks for is what the end of the poll does.
            let _deferred = header.state.request_cancel();
        }
        if outcome != PollOutcome::Pending {
            let beat_cancel = header.state.complete();
            core.counters.done.add(1);
            if !PLAIN {
                let panicked = outcome == PollOutcome::Panicked;
                core.tell_poll_ended(header.id(), outcome, false, 0);
                core.tell_done(header.id(), panicked, beat_cancel);
            }
            core.end(header, task);
            return core.table.borrow_mut();
        }
        let next = header.state.end_poll();
        if !PLAIN {
            let requeued = next == OnPending::Requeue;
            core.tell_poll_ended(header.id(), outcome, requeued, header.holders(1));
        }
        match next {
            OnPending::Keep => put_back(core, task, header).0,
            OnPending::Requeue => {
                let (mut table, slot) = put_back(core, task, header);
                table.ready.push(slot);
                table
            }
            OnPending::Drop => {
                core.cancel(header, task);
                core.table.borrow_mut()
            }
        }
    }

    /// Polls the future given to `block_on`, which lives on its stack and in no task. True if it is done.
    fn poll_main(&self, header: Option<Arc<Header>>, poll: Option<&mut PollMain<'_>>) -> bool {
        let core = &self.core;
        let (Some(header), Some(poll)) = (header, poll) else {
            unreachable!("main is in the ready queue only while block_on runs")
        };
        let OnTake::Poll = header.state.take() else { unreachable!("nobody cancels main") };
        let id = header.id();
        let waker = waker_ref(&header);
        start_poll(core, id, &waker);
        if core.tap.is_some() {
            core.tell_poll_started(id);
        }
        let polled = catch(|| poll(&mut Context::from_waker(&waker)));
        end_poll(core);
        if let Ok(Poll::Pending) = polled {
            let requeued = header.state.end_poll() == OnPending::Requeue;
            core.tell_poll_ended(id, PollOutcome::Pending, requeued, header.holders(1));
            let mut table = core.table.borrow_mut();
            *table.header(MAIN) = Some(header);
            if requeued {
                table.ready.push(MAIN);
            }
            return false;
        }
        let beat_cancel = header.state.complete();
        *core.table.borrow_mut().header(MAIN) = Some(header);
        let panicked = polled.is_err();
        let outcome = if panicked { PollOutcome::Panicked } else { PollOutcome::Ready };
        core.tell_poll_ended(id, outcome, false, 0);
        core.tell_done(id, panicked, beat_cancel);
        if let Err(payload) = polled {
            self.core.tell_turn_ended();
            self.leave(Left::MainPanicked);
            resume_unwind(payload);
        }
        true
    }

    /// Steps 4 and 5, when nothing is ready.
    fn park(&mut self) -> Ended {
        let core = &*self.core;
        let deadline = core.timers.borrow_mut().next_deadline();
        let outside = core.reactor.len() > 0 || core.pool.jobs() > 0;
        let Some(deadline) = deadline else {
            let wakers_only = !outside && Remote::none_left(core);
            if wakers_only && !core.inbox.has_mail() && stall::find(core).is_some() {
                return Ended::Stalled;
            }
            self.wait(None, wakers_only);
            return Ended::Turn;
        };
        if core.time.kind() == Clock::Real {
            self.wait(Some(deadline), false);
            return Ended::Turn;
        }
        if outside {
            refuse_to_jump(core);
            self.look(usize::MAX);
        }
        if !self.has_work() {
            let core = &*self.core;
            core.time.jump(deadline.max(core.time.now()));
            core.note_now(0, Kind::ClockJumped { to: core.time.now() });
        }
        Ended::Turn
    }

    /// Waits for events, at most until `deadline`, unless another thread has left word meanwhile.
    /// `wakers_only`: nothing but such word can end it.
    fn wait(&mut self, deadline: Option<u64>, wakers_only: bool) {
        let core = &*self.core;
        if !core.inbox.fall_asleep() {
            return;
        }
        let before = Instant::now();
        let timeout = deadline.map(|deadline| {
            Duration::from_nanos(deadline.saturating_sub(core.time.nanos_at(before)))
        });
        core.note_now(0, Kind::Parked { timeout: timeout.map_or(u64::MAX, nanos) });
        let waited = if wakers_only { self.wait_for_wakers() } else { core.reactor.wait(timeout) };
        core.inbox.wake_up();
        let after = Instant::now();
        // Without a deadline there is no timer that may be due.
        self.rested = deadline.map(|_| after);
        core.counters.parks.add(1);
        core.counters.parked_nanos.add(nanos(after - before));
        self.dispatch(waited);
    }

    /// Waits until another thread leaves word, or none is left that could: who drops the last waker
    /// unused tells nobody, so the loop looks by itself.
    #[cold]
    fn wait_for_wakers(&self) -> std::io::Result<()> {
        loop {
            self.core.reactor.wait(Some(STALL_CHECK))?;
            if self.core.inbox.has_mail() || stall::find(&self.core).is_some() {
                return Ok(());
            }
        }
    }

    /// A look in the middle of a batch. Who waited for a timer or a socket goes before the rest of the
    /// batch, so as not to wait for all of that as well; at most half as many as are polled between two
    /// looks, so that the rest goes on, too. More timers that are due stay for the next look.
    #[cold]
    fn look_amid_batch(&mut self) {
        let most = self.poll_interval as usize / 2;
        self.read_inbox();
        let from = self.core.table.borrow().ready.later();
        self.look(most.max(1));
        let mut table = self.core.table.borrow_mut();
        let place = table.ready.len() - (table.ready.later() - from);
        let count = table.ready.advance(from, most);
        drop(table);
        if count > 0 {
            self.core.note(0, Kind::Advanced { from: place as u32, count: count as u32 });
        }
    }

    /// A look at inbox, timers (at `most` so many) and events, without waiting.
    fn look(&mut self, most: usize) {
        self.core.table.borrow_mut().ready.look_after(self.poll_interval);
        self.read_inbox();
        self.fire_timers(most);
        // Without a source there is nothing to ask the operating system for: other threads leave word
        // in the inbox.
        if self.core.reactor.len() > 0 {
            self.core.note_now(0, Kind::Parked { timeout: 0 });
            let looked = self.core.reactor.wait(Some(Duration::ZERO));
            self.dispatch(looked);
        }
    }

    /// Step 5.
    fn dispatch(&mut self, waited: std::io::Result<()>) {
        let core = &self.core;
        if let Err(error) = waited {
            panic!("the operating system's poller failed: {error}");
        }
        core.table.borrow_mut().ready.look_after(self.poll_interval);
        core.reactor.mark_ready(&mut self.ready, &mut self.wakers);
        core.counters.io_events.add(self.ready.len() as u64);
        core.note_now(0, Kind::Unparked { events: self.ready.len() as u32 });
        let mut wakers = self.wakers.drain(..);
        let mut panic = FirstPanic::default();
        for Ready { source, readable, writable, wakers: count } in self.ready.drain(..) {
            core.note(0, Kind::SourceReady { readable, writable, source });
            core.caused_by(CauseKind::Source, u64::from(source), || {
                wakers.by_ref().take(count).for_each(|waker| panic.catch(|| waker.wake()));
            });
        }
        panic.resume();
    }

    /// Step 1.
    #[inline]
    fn read_inbox(&mut self) {
        if self.core.inbox.has_mail() {
            self.read_letters();
        }
    }

    #[cold]
    fn read_letters(&mut self) {
        let core = &self.core;
        core.inbox.collect(&mut self.letters);
        core.counters.letters.add(self.letters.len() as u64);
        for letter in self.letters.drain(..) {
            match letter {
                Letter::Wake { header, by: (kind, id) } => {
                    header.unpost();
                    core.caused_by(kind, id, || core.wake(&header));
                }
                Letter::Spawn(spawn) => {
                    if let Err(payload) = catch(|| spawn(core)) {
                        let message = message_of(&*payload);
                        eprintln!("mainspring: a remote spawn panicked before its task: {message}");
                    }
                }
                Letter::Cancel { task, reason } => core.cancel_from_afar(task, reason),
                // It has ended the sleep. Whether there is anything left to sleep for, `park` says.
                Letter::LastRemoteGone => {}
            }
        }
    }

    /// Step 2.
    fn fire_timers(&mut self, most: usize) {
        let rested = self.rested.take();
        if self.core.timers.borrow().len() == 0 {
            return;
        }
        let core = &self.core;
        let now = match rested {
            // The clock was read when the rest ended. What an observer was told since has a later time.
            Some(at) if core.tap.is_none() && core.time.kind() == Clock::Real => {
                core.time.nanos_at(at)
            }
            _ => core.time.now(),
        };
        core.timers.borrow_mut().expire(now, most, &mut self.fired);
        if let Some(tap) = &core.tap {
            tap.set_stamp(now);
        }
        core.counters.timers_fired.add(self.fired.len() as u64);
        for Fired { id, late, waker } in self.fired.drain(..) {
            core.note(0, Kind::TimerFired { timer: id, late });
            core.caused_by(CauseKind::Timer, u64::from(id), || core.wake_wakee(waker));
        }
    }

    #[cold]
    fn run_callbacks(&self) {
        // Counted first: in the head of the loop, the borrow would last as long as the loop does.
        let queued = self.core.table.borrow().callbacks.len();
        for _ in 0..queued {
            let Some((claim, callback)) = self.core.next_callback() else { return };
            let task = claim.id();
            if let Err(payload) = catch(|| callback(claim)) {
                let message = message_of(&*payload);
                eprintln!("mainspring: a done-callback of {task} panicked: {message}");
            }
        }
    }

    fn has_work(&self) -> bool {
        let table = self.core.table.borrow();
        table.ready.len() > 0 || !table.callbacks.is_empty() || self.core.inbox.has_mail()
    }

    fn enter(&mut self, place: &'static Location<'static>) -> Entered {
        if let Some(other) = context::entered_at() {
            panic!(
                "a loop cannot be entered inside of a loop: {place} is called within {other}; \
                 await the future there, or spawn it"
            );
        }
        self.rested = Some(Instant::now());
        let entered = Entered::new(&self.core, place);
        self.core.note_now(0, Kind::LoopEntered);
        entered
    }

    fn leave(&self, why: Left) {
        self.core.note_now(0, Kind::LoopLeft { why });
    }
}

/// At the end of a batch, goes over into the next turn, if that has a batch and nothing to do before, and
/// takes the first task of it.
///
/// The yield of a task that is alone takes three quarters of the time that all of [`Runtime::turn_with`]
/// would make of it.
#[inline(always)]
fn next_batch(core: &Core, table: &mut Table) -> Option<u32> {
    if !table.callbacks.is_empty() || core.inbox.has_mail() {
        return None;
    }
    table.ready.start_batch();
    let first = table.ready.pop()?;
    core.counters.turns.add(1);
    Some(first)
}

fn start_poll(core: &Core, id: crate::TaskId, waker: &Waker) {
    core.polled.set(id);
    core.own_waker.set(waker);
    core.transfer_left.set(TRANSFER_BUDGET);
}

/// Puts a task that goes on back into its slot.
#[inline(always)]
fn put_back(core: &Core, task: BoxedTask, header: Arc<Header>) -> (RefMut<'_, Table>, u32) {
    let slot = header.slot();
    let mut table = core.table.borrow_mut();
    table.put_back(slot, task, header);
    (table, slot)
}

/// True if the task was asked to end while it ran.
fn end_poll(core: &Core) -> bool {
    core.own_waker.set(std::ptr::null());
    core.cancel_running.get() && core.cancel_running.replace(false)
}

/// The place in the table of the future given to `block_on`, until that is done, gives up or unwinds.
struct MainPlace(Rc<Core>);

impl Drop for MainPlace {
    fn drop(&mut self) {
        let mut table = self.0.table.borrow_mut();
        let Some(header) = table.header(MAIN).take() else { return };
        let (id, given_up) = (header.id().get(), !header.state.get().is_over());
        if given_up {
            header.state.shut_down();
        }
        *table.header(MAIN) = Some(header);
        drop(table);
        if given_up {
            self.0.note_now(id, Kind::Cancelled { origin: CancelOrigin::Shutdown, by: 0 });
        }
    }
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// There is more to do, or may be.
    Turn,
    /// The future given to `block_on` is done.
    MainDone,
    /// Nothing can ever happen again.
    Stalled,
}

impl Default for Runtime {
    fn default() -> Runtime {
        Runtime::new()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let core = self.core.clone();
        core.closing.set(true);
        // Letters that nobody will read. A spawn among them drops its future here.
        drop(catch(|| drop(core.inbox.close())));
        core.pool.close();
        // Not `enter`: a runtime may be dropped inside of another's task.
        let _entered = Entered::new(&core, core.entered_at.get());
        core.cause.set((CauseKind::Shutdown, 0));
        let mut left: Vec<_> = core.table.borrow().living().map(|(h, _)| h.id()).collect();
        left.sort_unstable();
        left.into_iter().for_each(|id| core.shut_down(id));
        while let Some(callback) = core.next_callback() {
            drop(catch(|| drop(callback)));
        }
        self.leave(Left::Shutdown);
        wake_all(core.reactor.close());
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cold]
fn refuse_to_jump(core: &Core) {
    if core.time.kind() == Clock::VirtualDespiteIo {
        return;
    }
    panic!(
        "the virtual clock will not jump while the world outside is involved: {} sources are \
         registered and {} blocking jobs are under way, and their time does not jump along. Use the \
         real clock, or Clock::VirtualDespiteIo if nothing more will come from them",
        core.reactor.len(),
        core.pool.jobs()
    );
}
