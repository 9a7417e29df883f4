//! 14 of 14. How does an operation try, wait, and give way? With this one you have read the loop.
//!
//! An operation is tried first, and waits for an event only if it would block. A task that has moved
//! [`TRANSFER_BUDGET`] bytes in one poll gives way at its next operation, so that a fast peer cannot keep the
//! loop to itself. Every try counts for something, also one that fails: so each poll ends.
//!
//! A source belongs to one loop. Anywhere else, and once its runtime is dropped, no event would ever come for
//! it, so there each operation is an error at once.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use mio::event::Source as Pollable;

use super::{Source, Waiter};
use crate::event_loop::{self, Core, TRANSFER_BUDGET, for_each};
use crate::observe::event::{Direction, Kind, SourceKind, TryOutcome};

/// What a try counts for at least, in bytes: reading byte by byte takes as many system calls.
const MIN_WEIGHT: usize = TRANSFER_BUDGET / 256;

/// A descriptor that is registered with the loop of the thread it was made on. Deregistered before it
/// is closed.
pub(crate) struct Registered<S: Pollable> {
    io: S,
    /// The place of its source.
    place: u32,
    /// Those of the `poll_*` methods, one for each direction, read first.
    own: [Waiter; 2],
    core: Rc<Core>,
}

impl<S: Pollable> Registered<S> {
    /// `fd` is the descriptor's number, for the observer.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub(crate) fn new(mut io: S, kind: SourceKind, fd: i32) -> io::Result<Self> {
        let core = event_loop::current("a socket");
        let place = core.reactor.register(&mut io)?;
        let registered = Registered { io, place, own: Default::default(), core };
        let source = registered.id();
        registered.core.emit_running(Kind::SourceRegistered { source_kind: kind, source, fd });
        Ok(registered)
    }

    pub(crate) fn get(&self) -> &S {
        &self.io
    }

    /// What the reactor knows of it.
    fn source<R>(&self, f: impl FnOnce(&Source) -> R) -> R {
        self.core.reactor.source(self.place, f)
    }

    fn id(&self) -> u32 {
        self.source(|source| source.id)
    }

    /// Whether an operation in `direction` is worth trying.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.source(|source| source.is_ready(direction))
    }

    /// For a socket that is known not to be ready yet, such as one that connects.
    pub(crate) fn expect_wait(&self, direction: Direction) {
        self.source(|source| source.would_block(direction));
    }

    /// The program says that an operation of its own would have blocked.
    ///
    /// # Panics
    /// Where no event can come: the program would find the direction ready, and say so again, without end.
    #[cfg(unix)]
    pub(crate) fn clear(&self, direction: Direction) {
        assert!(self.core.is_current(), "{}", self.core.not_current("this socket"));
        self.expect_wait(direction);
        self.emit_tried(direction, TryOutcome::Cleared, 0, 0);
    }

    /// The waiter that all callers of the `poll_*` methods are in a direction.
    pub(crate) fn own(&self, direction: Direction) -> &Waiter {
        &self.own[direction as usize]
    }

    /// Waits until an operation in `direction` is worth trying. Where nothing can be waited for, that is at
    /// once: the try then says why.
    #[inline]
    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        waiter: &Waiter,
        direction: Direction,
    ) -> Poll<()> {
        if !self.core.is_current() {
            return Poll::Ready(());
        }
        // Who has to wait for an event gives way by that.
        if !self.is_ready(direction) {
            self.wait(cx.waker(), waiter, direction);
            return Poll::Pending;
        }
        if self.core.transfer_left.get() == 0 {
            self.give_way(cx.waker(), direction);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Tries `operation` until it does not block. `offered` is how many bytes the system is asked to move at
    /// most, or 0 if that can't be said; `weigh` says what its result counts for, in bytes.
    pub(crate) fn poll_try<R>(
        &self,
        cx: &mut Context<'_>,
        waiter: &Waiter,
        direction: Direction,
        offered: usize,
        mut operation: impl FnMut(&S) -> io::Result<R>,
        weigh: impl Fn(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.poll_ready(cx, waiter, direction));
            match self.try_once(direction, offered, &mut operation, &weigh) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// As [`poll_try`](Registered::poll_try), without waiting.
    pub(crate) fn try_now<R>(
        &self,
        direction: Direction,
        offered: usize,
        mut operation: impl FnMut(&S) -> io::Result<R>,
        weigh: impl Fn(&R) -> usize,
    ) -> io::Result<R> {
        loop {
            match self.try_once(direction, offered, &mut operation, &weigh) {
                Err(error)
                    if error.kind() == ErrorKind::Interrupted
                        && self.core.transfer_left.get() > 0 => {}
                result => return result,
            }
        }
    }

    fn try_once<R>(
        &self,
        direction: Direction,
        offered: usize,
        operation: impl FnOnce(&S) -> io::Result<R>,
        weigh: impl Fn(&R) -> usize,
    ) -> io::Result<R> {
        if !self.core.is_current() {
            return Err(io::Error::other(self.core.not_current("this socket")));
        }
        let result = operation(&self.io);
        let (outcome, bytes) = match &result {
            Ok(moved) => {
                let bytes = weigh(moved);
                // Nothing read is the end.
                let short = bytes < offered && (bytes > 0 || direction == Direction::Write);
                (if short { TryOutcome::Short } else { TryOutcome::Done }, bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => (TryOutcome::WouldBlock, 0),
            Err(_) => (TryOutcome::Failed, 0),
        };
        match outcome {
            TryOutcome::Short => self.source(|source| source.short(direction)),
            TryOutcome::WouldBlock => self.source(|source| source.would_block(direction)),
            _ => {}
        }
        if outcome != TryOutcome::WouldBlock {
            let left = self.core.transfer_left.get();
            self.core.transfer_left.set(left.saturating_sub(bytes.max(MIN_WEIGHT)));
        }
        if self.core.is_observed() {
            self.emit_tried(direction, outcome, bytes, offered);
        }
        result
    }

    /// The task has moved its share for this poll: others have a turn first.
    #[inline(never)]
    fn give_way(&self, waker: &Waker, direction: Direction) {
        // What this task wrote may be waited for by others, who should be woken first; what it read is not.
        if direction == Direction::Write {
            self.core.tasks.borrow_mut().ready.check_after(0);
        }
        waker.wake_by_ref();
    }

    /// Apart, so that the look at what is ready stands in its callers.
    #[inline(never)]
    fn wait(&self, waker: &Waker, waiter: &Waiter, direction: Direction) {
        let is_new = self.core.reactor.wait_for(self.place, direction, waiter, waker);
        if is_new && self.core.is_observed() {
            self.core.emit_running(Kind::WaitsForSource { direction, source: self.id() });
        }
    }

    fn emit_tried(&self, way: Direction, outcome: TryOutcome, weight: usize, offered: usize) {
        // Where no bytes were offered, as to an accept, the weight is none in bytes.
        let bytes = u32::try_from(weight.min(offered)).unwrap_or(u32::MAX);
        let (source, direction) = (self.id(), way);
        let eof = outcome == TryOutcome::Done && weight == 0 && direction == Direction::Read;
        let outcome = if eof { TryOutcome::Eof } else { outcome };
        self.core.emit_running(Kind::SourceTried { direction, outcome, source, bytes });
    }

    /// A future that calls `poll` with a waiter of its own.
    pub(crate) fn operation<R, F>(&self, direction: Direction, poll: F) -> Operation<'_, S, F>
    where
        F: FnMut(&Self, &mut Context<'_>, &Waiter) -> Poll<R>,
    {
        Operation { io: self, waiter: Waiter::default(), direction, poll }
    }

    /// Waits until an operation in `direction` is worth trying.
    pub(crate) fn ready(&self, direction: Direction) -> impl Future<Output = ()> {
        self.operation(direction, move |io, cx, waiter| io.poll_ready(cx, waiter, direction))
    }
}

/// The future of an operation, which is a waiter of its own. A struct: as an `async fn` around a guard it
/// would take 64 bytes more in every task that waits.
pub(crate) struct Operation<'a, S: Pollable, F> {
    io: &'a Registered<S>,
    waiter: Waiter,
    direction: Direction,
    poll: F,
}

/// What it holds is never pinned.
impl<S: Pollable, F> Unpin for Operation<'_, S, F> {}

impl<S: Pollable, R, F> Future for Operation<'_, S, F>
where
    F: FnMut(&Registered<S>, &mut Context<'_>, &Waiter) -> Poll<R>,
{
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let operation = &mut *self;
        (operation.poll)(operation.io, cx, &operation.waiter)
    }
}

impl<S: Pollable, F> Drop for Operation<'_, S, F> {
    fn drop(&mut self) {
        let Operation { io, direction, .. } = *self;
        if io.core.reactor.stop_waiting(io.place, direction, &self.waiter) && io.core.is_observed()
        {
            io.core.emit_running(Kind::SourceWaitDropped { direction, source: io.id() });
        }
    }
}

impl<S: Pollable> Drop for Registered<S> {
    fn drop(&mut self) {
        let source = self.id();
        let wakers = self.core.reactor.deregister(&mut self.io, self.place, &self.own);
        self.core.emit_running(Kind::SourceClosed { source });
        // Callers of the `poll_*` methods hold no reference any more: the wake lets them find out.
        for_each(wakers.into_iter(), Waker::wake);
    }
}

impl<S: Pollable + fmt::Debug> fmt::Debug for Registered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

/// The number of a descriptor, for the observer.
#[cfg(unix)]
pub(crate) fn descriptor(io: &impl std::os::fd::AsRawFd) -> i32 {
    io.as_raw_fd()
}

/// The number of a descriptor, for the observer.
#[cfg(not(unix))]
pub(crate) fn descriptor<S>(_: &S) -> i32 {
    -1
}
