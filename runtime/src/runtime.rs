//! The way into the loop and out of it: a face around `event_loop`.

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Instant;

use crate::event_loop::poll::Main;
use crate::event_loop::stall::StallReason;
use crate::event_loop::turn::{EventLoop, TurnEnd};
use crate::event_loop::{self, Core, Entered, catch, for_each};
use crate::observe::event::{CancelOrigin, CauseKind, Kind, LoopExit};
use crate::remote::Remote;
use crate::stalled::Stalled;
use crate::stats::{Stats, Turn, count};
use crate::task::TaskId;
use crate::task::handle::JoinHandle;
use crate::task::table::MAIN;

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
#[inline(always)]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    event_loop::current("spawn").spawn(None, Location::caller(), &mut Some(future))
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
    let name = Some(name.into());
    event_loop::current("spawn_named").spawn(name, Location::caller(), &mut Some(future))
}

/// One loop, on the thread that built it.
///
/// Dropping it drops every future that is left, in spawn order, and marks its task as cancelled by
/// shutdown. It waits for nothing: a blocking job that runs goes on by itself, and its result is
/// dropped; one that has not started never will. What waits for its sockets or timers elsewhere is woken, and
/// finds that the runtime has been dropped.
///
/// A panic that leaves `block_on`, `turn` or `run_until_idle` leaves the runtime whole: it may be entered again.
pub struct Runtime {
    pub(crate) event_loop: EventLoop,
}

impl Runtime {
    /// A runtime with the defaults.
    ///
    /// # Panics
    /// If the operating system refuses a poller; [`Builder::build`](crate::Builder::build) returns that as an error.
    #[track_caller]
    pub fn new() -> Runtime {
        match Runtime::builder().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the operating system refuses a poller: {error}"),
        }
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.event_loop.core
    }

    /// The name it was built with.
    pub fn name(&self) -> &str {
        &self.core().name
    }

    /// Spawns a task. It starts with the next turn.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.core().clone().spawn(None, Location::caller(), &mut Some(future))
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        Remote::new(self.core())
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Runs the loop until `main` is done, and returns its output.
    ///
    /// May be called any number of times; tasks left over go on at the next. `main` may borrow from its
    /// surroundings.
    ///
    /// # Panics
    /// If `main` panics; if a loop runs on this thread already (the message names both places); and
    /// if the loop can never go on, with the text of [`Stalled`]: also where a virtual clock would
    /// have to jump over the world outside.
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
    /// under way, no [`Remote`] left, and no waker of a pending task is held: nothing can ever happen
    /// again. Also if a [virtual clock](crate::time::Clock::Virtual) would have to jump while a source is registered,
    /// a blocking job under way or a `Remote` held. The tasks stay as they are; `main` is dropped.
    ///
    /// # Panics
    /// As [`block_on`](Runtime::block_on), stalls excepted.
    #[track_caller]
    pub fn try_block_on<F: Future>(&mut self, main: F) -> Result<F::Output, Stalled> {
        let caller = Location::caller();
        let _entered = self.enter(caller);
        let core = self.core().clone();
        count(&core.counters.mains, 1);
        let (id, header) =
            core.tasks.borrow_mut().insert_main(core.next_number(), caller, &core.inbox);
        core.emit_spawned(id, size_of::<F>());

        let mut future = pin!(main);
        let mut output = None;
        let mut poll =
            |cx: &mut Context<'_>| future.as_mut().poll(cx).map(|value| output = Some(value));
        // Dropped before the future is: what that wakes is finished then.
        let _slot = MainSlot { core: &core, id };
        let mut main = Some(Main { id, header, poll: &mut poll });
        loop {
            match self.event_loop.turn(&mut main, true) {
                TurnEnd::Continue => {}
                TurnEnd::MainDone => break,
                TurnEnd::Stalled(reason) => {
                    self.event_loop.leave(LoopExit::Stalled);
                    return Err(Stalled::new(&core, reason, caller));
                }
            }
        }
        self.event_loop.leave(LoopExit::MainDone);
        Ok(output.expect("main is done"))
    }

    /// Makes one turn: polls what is ready, then, if nothing is, waits until something may be.
    ///
    /// Returns at once if there is nothing to poll and nothing to wait for.
    ///
    /// # Panics
    /// If a loop runs on this thread already, and if a virtual clock would have to jump over the world outside.
    #[track_caller]
    pub fn turn(&mut self) -> Turn {
        let _entered = self.enter(Location::caller());
        let before = self.stats();
        // A stall is no news to a caller that turns the loop by hand: the turn has done nothing.
        let end = self.event_loop.turn(&mut None, true);
        self.event_loop.leave(LoopExit::TurnDone);
        if let TurnEnd::Stalled(reason @ StallReason::ClockWouldJump(_)) = end {
            panic!("{}", Stalled::new(self.core(), reason, self.core().entered_at.get()));
        }
        Turn::between(&before, &self.stats())
    }

    /// Makes turns until nothing is ready, without waiting for anything. Returns their sum.
    ///
    /// # Panics
    /// If a loop runs on this thread already.
    #[track_caller]
    pub fn run_until_idle(&mut self) -> Turn {
        let _entered = self.enter(Location::caller());
        let before = self.stats();
        self.event_loop.check();
        while self.event_loop.has_work() {
            self.event_loop.turn(&mut None, false);
        }
        self.event_loop.leave(LoopExit::Idle);
        Turn::between(&before, &self.stats())
    }

    fn enter(&mut self, place: &'static Location<'static>) -> Entered {
        if let Some(other) = event_loop::entered_at() {
            panic!(
                "a loop cannot be entered inside of a loop: {place} is called within {other}; \
                 await the future there, or spawn it"
            );
        }
        // Time has passed outside: timers may be due.
        self.event_loop.last_park_end = Some(Instant::now());
        let entered = Entered::new(self.core(), place);
        self.core().emit(0, Kind::LoopEntered);
        entered
    }
}

/// The slot of the future given to `block_on`, until that is done, gives up or unwinds.
struct MainSlot<'a> {
    core: &'a Core,
    id: TaskId,
}

impl Drop for MainSlot<'_> {
    fn drop(&mut self) {
        let mut tasks = self.core.tasks.borrow_mut();
        let Some(header) = tasks.living(self.id) else { return };
        header.state.shut_down();
        // A panic of something else may have left it there.
        tasks.ready.remove(MAIN);
        drop(tasks);
        self.core.emit(self.id.get(), Kind::Cancelled { origin: CancelOrigin::Shutdown, by: 0 });
    }
}

impl Default for Runtime {
    fn default() -> Runtime {
        Runtime::new()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let core = self.core().clone();
        core.closing.set(true);
        // Not `enter`: a runtime may be dropped inside of another's task.
        let _entered = Entered::new(&core, core.entered_at.get());
        // Whatever panics on the way, the rest is dropped and woken, too. A message may be a spawn with a future.
        let messages = std::mem::take(&mut self.event_loop.messages);
        drop(catch(|| for_each(messages.into_iter().chain(core.inbox.close()), drop)));
        core.pool.close();
        core.step.set((CauseKind::Shutdown, 0));
        let tasks = core.tasks.borrow();
        let mut ids: Vec<_> = tasks.all_living().map(|header| tasks.id(header.slot)).collect();
        drop(tasks);
        ids.sort_unstable();
        let woken = catch(|| for_each(ids.into_iter(), |id| core.shut_down(id.slot())));
        while let Some((task, callback)) = core.next_callback() {
            drop(catch(|| drop((task, callback))));
        }
        let mut wakers = core.timers.borrow_mut().take_wakers();
        wakers.extend(core.reactor.close());
        let also_woken = catch(|| for_each(wakers.into_iter(), Waker::wake));
        self.event_loop.leave(LoopExit::Shutdown);
        if let Err(payload) = woken.and(also_woken) {
            payload.resume();
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("name", &self.name()).finish_non_exhaustive()
    }
}
