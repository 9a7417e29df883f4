//! What can happen in a loop, as plain data.
//!
//! An [`Event`] is 32 bytes, owns nothing and points nowhere: it can be kept in a ring, written to a
//! file and read back years later. Text (a task's name, where it was spawned) is told once, apart
//! from the events, through [`Observer::on_task`](super::Observer::on_task).
//!
//! Ids are never used twice in the life of a runtime: tasks count from 1 (task 1 is the future given
//! to the first `block_on`), timers, sources and blocking jobs each from 1. Zero means "none".

/// One thing that happened, when, and to which task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the runtime was built, on the runtime's own clock (real or virtual).
    ///
    /// Read freshly at the end of every poll, where timers expire, when a task or another thread puts
    /// a task into the ready queue, and around every park; what happens in between carries the
    /// latest of these readings, and the order of the events tells the rest. A poll that follows
    /// another without a pause begins when that one ended.
    pub at: u64,
    /// The task it happened to, or 0 for what concerns the loop as a whole.
    pub task: u64,
    /// What happened.
    pub kind: Kind,
}

/// What happened. Durations and instants are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    // --- the loop -------------------------------------------------------------------------
    /// `block_on`, `turn` or `run_until_idle` was entered.
    LoopEntered,
    /// The loop handed the thread back.
    LoopLeft {
        /// Why it did.
        why: LoopExit,
    },
    /// A turn begins with this many tasks in the ready queue.
    TurnStarted {
        /// Tasks ready to be polled in this turn's batch.
        ready: u32,
        /// Number of the turn, counted from 1.
        turn: u64,
    },
    /// The turn ended.
    TurnEnded,
    /// The loop asks the operating system for readiness.
    Parked {
        /// The longest it will wait: 0 is a look without waiting, `u64::MAX` is for ever.
        timeout: u64,
    },
    /// The operating system answered.
    Unparked {
        /// Readiness events it brought.
        events: u32,
    },
    /// The virtual clock jumped: nothing was left to do before `to`, or the program advanced it.
    ClockJumped {
        /// The time it is now.
        to: u64,
    },
    /// A seeded scheduler picked one of several ready tasks.
    Decided {
        /// How many there were to choose from.
        among: u32,
        /// The position of the one it took.
        chosen: u32,
    },
    /// Tasks that a look in the middle of a batch made ready go before the rest of it.
    Advanced {
        /// The position in the ready queue of the first of them until now.
        from: u32,
        /// How many they are. They keep their order.
        count: u32,
    },

    // --- tasks ----------------------------------------------------------------------------
    /// The task was spawned and is pending, scheduled.
    Spawned {
        /// The task that spawned it; 0 if it was spawned from outside the loop.
        parent: u64,
    },
    /// The task was woken.
    Woken {
        /// What the wake changed.
        effect: WakeEffect,
        /// What kind of thing did it.
        by: CauseKind,
        /// Which one: a task, timer, source, job or thread number, after `by`.
        id: u64,
    },
    /// The task is running: its future is being polled.
    PollStarted {
        /// How many wakers of the task are held by others now; `u32::MAX` where that is not counted.
        holders: u32,
    },
    /// The poll returned.
    PollEnded {
        /// What the future answered.
        outcome: PollOutcome,
        /// Woken while it ran: it goes to the tail of the next turn.
        requeued: bool,
        /// How many wakers of the task are held by others now. If none, nothing wakes it any more.
        holders: u32,
    },
    /// The task is done.
    Done {
        /// It panicked instead of returning.
        panicked: bool,
        /// A cancel was requested too late to take effect: completion won.
        beat_cancel: bool,
    },
    /// The task is cancelled; its future has been dropped.
    Cancelled {
        /// Who wanted it.
        origin: CancelOrigin,
        /// The task that asked, if a task did.
        by: u64,
    },
    /// A cancel was asked for.
    CancelRequested {
        /// What the request will lead to.
        effect: CancelEffect,
        /// The task that asked, if a task did.
        by: u64,
    },
    /// The task's `JoinHandle` was dropped before the task ended: its result will not be read.
    Detached,
    /// The task's result was read.
    OutputTaken,
    /// The task panicked, its result was dropped unread, and the panic was reported on stderr.
    PanicUnseen,

    // --- waiting --------------------------------------------------------------------------
    /// The task waits for another to end.
    WaitsForTask {
        /// The other.
        on: u64,
    },
    /// The task waits for another no longer, though that goes on and its handle is held.
    TaskWaitDropped {
        /// The other.
        on: u64,
    },
    /// The task waits for a source to become ready. Ends when the source is, in that direction.
    WaitsForSource {
        /// In which direction.
        direction: Direction,
        /// The source.
        source: u32,
    },
    /// A future of the task that waited for a source was dropped before the source was ready.
    SourceWaitDropped {
        /// In which direction it waited.
        direction: Direction,
        /// The source.
        source: u32,
    },
    /// The task, and no other any more, waits for a timer that is armed already.
    WaitsForTimer {
        /// The timer.
        timer: u32,
    },
    /// The task, and not the one that queued it, waits for a blocking job.
    WaitsForBlocking {
        /// The job.
        job: u32,
    },

    // --- timers, sources, blocking jobs ------------------------------------------------------
    /// The task armed a timer.
    TimerArmed {
        /// The timer.
        timer: u32,
        /// When it is due.
        deadline: u64,
    },
    /// A timer fired.
    TimerFired {
        /// The timer.
        timer: u32,
        /// How long after its deadline.
        late: u64,
    },
    /// A timer was dropped or reset before it fired.
    TimerDropped {
        /// The timer.
        timer: u32,
    },
    /// A source was registered with the poller.
    SourceRegistered {
        /// What it is.
        source_kind: SourceKind,
        /// The source.
        source: u32,
        /// Its file descriptor, or -1 where the platform has none.
        fd: i32,
    },
    /// The poller says that a source is ready.
    SourceReady {
        /// It can be read, or is closed for reading.
        readable: bool,
        /// It can be written, or is closed for writing.
        writable: bool,
        /// The source.
        source: u32,
    },
    /// The task tried an operation on a source.
    SourceTried {
        /// In which direction.
        direction: Direction,
        /// How it ended.
        outcome: TryOutcome,
        /// The source.
        source: u32,
        /// Bytes moved.
        bytes: u32,
    },
    /// The source was deregistered, just before it is closed.
    SourceClosed {
        /// The source.
        source: u32,
    },
    /// A blocking job was handed to the pool.
    JobQueued {
        /// The job.
        job: u32,
    },
    /// The loop learnt that a blocking job has ended.
    JobEnded {
        /// The job.
        job: u32,
        /// How long it ran on its thread.
        ran: u64,
    },
    /// A blocking job is waited for no more; it may still run.
    JobDropped {
        /// The job.
        job: u32,
    },

    // --- what the program, and what an observer, says of itself ----------------------------
    /// A future wrapped by `traced` was polled for the first time, inside the task; or it is about to
    /// be dropped without ever having been polled.
    SpanOpened {
        /// The span, counted from 1.
        span: u32,
        /// The span around it, or 0.
        parent: u32,
        /// Its label: see [`Observer::on_label`](super::Observer::on_label).
        label: u32,
    },
    /// A future wrapped by `traced` completed or was dropped.
    SpanClosed {
        /// The span.
        span: u32,
        /// It returned its value; otherwise it was dropped midway.
        completed: bool,
        /// How often it was polled.
        polls: u32,
    },
    /// The program left a mark.
    Marked {
        /// Its text: see [`Observer::on_label`](super::Observer::on_label).
        label: u32,
    },
    /// The observer kept the loop waiting, up to now. Told by a recorder, not by the loop.
    ObserverPaused {
        /// For how long.
        took: u64,
    },
}

/// Why the loop handed the thread back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopExit {
    /// The future given to `block_on` completed.
    MainDone,
    /// The future given to `block_on` panicked.
    MainPanicked,
    /// A single turn was asked for, and made.
    TurnDone,
    /// `run_until_idle` found nothing ready.
    Idle,
    /// Nothing could ever wake a task again.
    Stalled,
    /// The runtime was dropped.
    Shutdown,
}

/// What a wake changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeEffect {
    /// An idle task entered the ready queue.
    Scheduled,
    /// It was in the ready queue already: nothing changed.
    Coalesced,
    /// It was running: it is scheduled when its poll returns.
    Deferred,
    /// It is done or cancelled: nothing changed.
    Stale,
}

/// What kind of thing made a wake happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// Code outside of the loop, on the loop's thread.
    Outside,
    /// Being spawned.
    Spawn,
    /// A task, in its own poll: itself or another.
    Task,
    /// A timer that fired.
    Timer,
    /// A source that became ready.
    Source,
    /// A task that ended while this one awaited it.
    Join,
    /// A blocking job that ended.
    Job,
    /// Another thread.
    Thread,
    /// A cancel request.
    Cancel,
    /// The runtime shutting down.
    Shutdown,
}

/// What a future answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// Not yet.
    Pending,
    /// Its value.
    Ready,
    /// A panic.
    Panicked,
}

/// Who wanted a task cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOrigin {
    /// A `JoinHandle`, on the loop's thread.
    Handle,
    /// An `abort_on_drop` handle that was dropped.
    HandleDropped,
    /// A `Remote`, on any thread.
    Remote,
    /// The runtime, being dropped or leaving `run`.
    Shutdown,
}

/// What a cancel request will lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelEffect {
    /// The task is pending: the loop drops its future when its turn comes.
    Queued,
    /// The task is running: it takes effect when the poll returns pending.
    Deferred,
    /// The task is finished already: nothing happens.
    Ignored,
}

/// A direction of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Reading, or accepting.
    Read,
    /// Writing, or connecting.
    Write,
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A TCP listener.
    Listener,
    /// A TCP stream.
    Stream,
    /// A descriptor that the program made itself.
    Foreign,
}

/// How an operation on a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryOutcome {
    /// It moved bytes, accepted or connected.
    Done,
    /// It moved fewer bytes than were asked for, so there is nothing more: the edge is drained.
    Short,
    /// It would have blocked: the edge is drained.
    WouldBlock,
    /// Nothing was tried: the program says that an attempt of its own would have blocked.
    Cleared,
    /// End of stream.
    Eof,
    /// Any other error.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_thirty_two_bytes() {
        assert_eq!(size_of::<Event>(), 32);
    }
}
