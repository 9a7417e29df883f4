//! What all sockets have in common: a registered descriptor, operations that are tried and waited for.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use mio::event::Source as Pollable;

use crate::event_loop::{self, Core, TRANSFER_BUDGET};
use crate::observe::event::{Direction, Kind, SourceKind, TryOutcome};
use crate::reactor::source::Source;

/// What an operation counts for at least, in bytes: who reads byte by byte makes as many system calls.
const LEAST_WEIGHT: usize = TRANSFER_BUDGET / 256;

/// A descriptor that is registered with the loop of the thread it was made on. Deregistered before it
/// is closed.
pub(crate) struct Registered<S: Pollable> {
    io: S,
    /// The place of its source.
    place: u32,
    core: Rc<Core>,
}

impl<S: Pollable> Registered<S> {
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub(crate) fn new(mut io: S, kind: SourceKind, fd: impl Fn(&S) -> i32) -> io::Result<Self> {
        let core = event_loop::current("a socket");
        let place = core.reactor.register(&mut io)?;
        let registered = Registered { io, place, core };
        let (source, fd) = (registered.id(), fd(&registered.io));
        registered.core.emit_running(Kind::SourceRegistered { source_kind: kind, source, fd });
        Ok(registered)
    }

    pub(crate) fn get(&self) -> &S {
        &self.io
    }

    /// What the reactor knows of it.
    #[inline]
    fn source<R>(&self, f: impl FnOnce(&Source<Waker>) -> R) -> R {
        self.core.reactor.source(self.place, f)
    }

    fn id(&self) -> u32 {
        self.source(|source| source.id())
    }

    /// For a socket that is known not to be ready yet, such as one that connects.
    pub(crate) fn expect_wait(&self, direction: Direction) {
        self.source(|source| source.would_block(direction));
    }

    /// Tries `operation` until it does not block. It says how many bytes it moved, and is asked for `len`:
    /// fewer mean that the next try would block.
    pub(crate) fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        len: usize,
        mut operation: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_asked(cx, direction, len, |io| operation(io), |n| *n)
    }

    /// Tries `operation` until it does not block. `weigh` says what its result counts for, in bytes.
    pub(crate) fn poll_try<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        operation: impl FnMut(&S) -> io::Result<R>,
        weigh: impl Fn(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        self.poll_asked(cx, direction, 0, operation, weigh)
    }

    /// As `poll_try`; a result that weighs less than `asked` says that the next try would block.
    fn poll_asked<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        asked: usize,
        mut operation: impl FnMut(&S) -> io::Result<R>,
        weigh: impl Fn(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        let left = self.core.transfer_left.get();
        loop {
            // Who has to wait for an event gives way by that.
            if !self.is_ready(direction) {
                self.wait(cx, direction);
                return Poll::Pending;
            }
            if left == 0 {
                self.give_way(cx, direction);
                return Poll::Pending;
            }
            match operation(&self.io) {
                Ok(result) => {
                    let bytes = weigh(&result);
                    self.core.transfer_left.set(left.saturating_sub(bytes.max(LEAST_WEIGHT)));
                    let short = bytes < asked && (bytes > 0 || direction == Direction::Write);
                    if short {
                        self.source(|source| source.short(direction));
                    }
                    let outcome = if short { TryOutcome::Short } else { TryOutcome::Done };
                    self.tried(direction, outcome, bytes);
                    return Poll::Ready(Ok(result));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.source(|source| source.would_block(direction));
                    self.tried(direction, TryOutcome::WouldBlock, 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.tried(direction, TryOutcome::Failed, 0);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// The task has moved its share for this poll: others have a turn first.
    #[cold]
    fn give_way(&self, cx: &Context<'_>, direction: Direction) {
        // Whoever waits for what this task wrote gets to know of it first. Nobody waits for what it
        // read.
        if direction == Direction::Write {
            self.core.tasks.borrow_mut().ready.check_after(0);
        }
        cx.waker().wake_by_ref();
    }

    /// Whether an operation in `direction` is worth trying.
    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.source(|source| source.is_ready(direction))
    }

    /// Waits until it is.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<()> {
        if self.is_ready(direction) {
            return Poll::Ready(());
        }
        self.wait(cx, direction);
        Poll::Pending
    }

    /// Leaves word that the caller waits.
    fn wait(&self, cx: &Context<'_>, direction: Direction) {
        let wakee = cx.waker().clone();
        // Two tasks that wait in one direction take turns, and none is forgotten.
        if let Some(other) = self.core.reactor.wait_for(self.place, direction, wakee)
            && !other.will_wake(cx.waker())
        {
            other.wake();
        }
        if self.core.is_observed() {
            self.core.emit_running(Kind::WaitsForSource { direction, source: self.id() });
        }
    }

    /// Says that an operation made elsewhere would have blocked.
    #[cfg(unix)]
    pub(crate) fn would_block(&self, direction: Direction) {
        self.source(|source| source.would_block(direction));
        self.tried(direction, TryOutcome::Cleared, 0);
    }

    pub(crate) async fn ready(&self, direction: Direction) {
        poll_fn(|cx| self.poll_ready(cx, direction)).await;
    }

    #[inline]
    fn tried(&self, direction: Direction, outcome: TryOutcome, bytes: usize) {
        if self.core.is_observed() {
            self.tell_tried(direction, outcome, bytes);
        }
    }

    #[cold]
    fn tell_tried(&self, direction: Direction, outcome: TryOutcome, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let source = self.id();
        let eof = outcome == TryOutcome::Done && bytes == 0 && direction == Direction::Read;
        let outcome = if eof { TryOutcome::Eof } else { outcome };
        self.core.emit_running(Kind::SourceTried { direction, outcome, source, bytes });
    }
}

impl<S: Pollable> Drop for Registered<S> {
    fn drop(&mut self) {
        let source = self.id();
        let waiting = self.core.reactor.deregister(&mut self.io, self.place);
        // Whoever waited on it through a raw poll holds a reference no more; a wake lets it find out.
        waiting.into_iter().flatten().for_each(Waker::wake);
        self.core.emit_running(Kind::SourceClosed { source });
    }
}

impl<S: Pollable + fmt::Debug> fmt::Debug for Registered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

/// The number of a descriptor, for the record.
#[cfg(unix)]
pub(crate) fn descriptor(io: &impl std::os::fd::AsRawFd) -> i32 {
    io.as_raw_fd()
}

/// The number of a descriptor, for the record.
#[cfg(not(unix))]
pub(crate) fn descriptor<S>(_: &S) -> i32 {
    -1
}
