//! When can the loop never go on?
//!
//! With nothing ready, no timer, no source, no blocking job and no [`Remote`](crate::Remote), only a
//! waker can move the loop: one that another thread holds, or something that a task shares with one.
//! Every task's header is counted, so the loop can tell exactly whether such a waker
//! exists. A waker that waits for the end of another pending task does not count: it is used
//! only when that task ends, and that task cannot move either.
//!
//! The verdict is never wrong in the other direction: a waker that anything else holds counts as a way to go on,
//! also if it is never used. Such a loop waits, as every loop would.
//!
//! The loop asks when it is about to sleep, and once a second in a sleep that only wakers can end, since a
//! thread that drops the last of them unused tells nothing. A look at all tasks is O(n), so the loop remembers the
//! task that it found to have such a waker, its witness, and looks at the others only when that has none any more.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event_loop::Core;
use crate::remote::Remote;
use crate::task::TaskId;

/// Why a loop cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallReason {
    /// No task can be woken any more.
    NothingCanWake,
    /// A virtual clock would jump to the next deadline, but the world outside, whose time does not jump along, may
    /// still wake a task before.
    ClockWouldJump(Outside),
}

/// What can wake a task from outside of the loop, wakers not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Sources that are registered.
    pub sources: usize,
    /// Blocking jobs whose result a task waits for.
    pub jobs: usize,
    /// Whether a [`Remote`](crate::Remote) is held.
    pub remote: bool,
}

impl Outside {
    pub(crate) fn of(core: &Core) -> Outside {
        let (sources, jobs) = (core.reactor.len(), core.pool.jobs.get());
        Outside { sources, jobs, remote: Remote::is_held(core) }
    }

    pub(crate) fn is_none(self) -> bool {
        self.sources == 0 && self.jobs == 0 && !self.remote
    }
}

/// The tasks that are pending for ever, each with the pending task that it awaits, if the loop has stalled. `None` if
/// a waker exists that can move it. O(n) in the tasks that live, unless the last witness still has one.
pub(crate) fn find(core: &Core) -> Option<Vec<(TaskId, Option<TaskId>)>> {
    let mut tasks = core.tasks.borrow_mut();
    if tasks.witness_holds() {
        return None;
    }
    // Which task awaits which, by the address of its header, which is also its waker's data.
    let mut awaits: HashMap<*const (), (usize, TaskId)> = HashMap::new();
    for header in tasks.all_living() {
        if let Some(waker) = tasks.joiner(header.slot) {
            let entry = awaits.entry(waker.data()).or_insert((0, tasks.id(header.slot)));
            entry.0 += 1;
        }
    }
    let (mut stalled, mut witness) = (Vec::new(), None);
    for header in tasks.all_living() {
        let awaited = awaits.get(&Arc::as_ptr(header).cast::<()>());
        let joins = awaited.map_or(0, |(count, _)| *count);
        if header.wakers() > joins {
            witness = Some((header.slot, joins));
            break;
        }
        stalled.push((tasks.id(header.slot), awaited.map(|(_, task)| *task)));
    }
    if let Some((slot, joins)) = witness {
        tasks.set_witness(slot, joins);
        return None;
    }
    stalled.sort_unstable();
    Some(stalled)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::RefCell;
    use std::future::{Future, pending, poll_fn};
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Poll, Waker};

    use super::*;
    use crate::{JoinHandle, Runtime};

    type Held = Rc<RefCell<Vec<Waker>>>;

    /// Tasks that wait for a waker which is held outside of the loop.
    fn held_tasks(runtime: &mut Runtime, count: usize) -> (Vec<JoinHandle<()>>, Held) {
        let held = Held::default();
        let wait = || {
            let held = held.clone();
            poll_fn(move |cx| {
                held.borrow_mut().push(cx.waker().clone());
                Poll::<()>::Pending
            })
        };
        let tasks = (0..count).map(|_| runtime.spawn(wait())).collect();
        runtime.run_until_idle();
        (tasks, held)
    }

    fn core(runtime: &Runtime) -> &Core {
        runtime.core()
    }

    /// The verdict with the witness, and without: they must agree.
    fn is_stalled(core: &Core) -> bool {
        let quick = find(core).is_some();
        core.tasks.borrow_mut().witness = None;
        assert_eq!(find(core).is_some(), quick);
        quick
    }

    #[test]
    fn one_look_at_all_tasks_is_enough_while_the_witness_holds() {
        let mut runtime = Runtime::new();
        let (tasks, held) = held_tasks(&mut runtime, 100);
        assert!(!core(&runtime).tasks.borrow().witness_holds(), "nothing was looked at yet");
        assert!(find(core(&runtime)).is_none());
        // Sleeps, other tasks and their ends change nothing: no further look is needed.
        for _ in 0..10 {
            let other = runtime.spawn(async {});
            runtime.run_until_idle();
            drop(other);
            assert!(core(&runtime).tasks.borrow().witness_holds());
        }
        // Each waker that goes makes another task the witness, until none is left.
        while held.borrow().len() > 1 {
            drop(held.borrow_mut().remove(0));
            assert!(find(core(&runtime)).is_none());
            assert!(core(&runtime).tasks.borrow().witness_holds());
        }
        held.borrow_mut().clear();
        assert_eq!(find(core(&runtime)).map(|stalled| stalled.len()), Some(tasks.len()));
    }

    #[test]
    fn a_witness_whose_waker_only_joins_hold_is_none_any_more() {
        let mut runtime = Runtime::new();
        let (mut tasks, held) = held_tasks(&mut runtime, 1);
        let idle = Rc::new(RefCell::new(runtime.spawn(pending::<()>())));
        let first = tasks.remove(0);
        assert!(!is_stalled(core(&runtime)));
        // The witness's waker waits for another task's end, which is a joiner; polled with a clone of it, as a
        // future of another task may be.
        let waker = held.borrow()[0].clone();
        let join = |waker: &Waker| {
            let mut idle = idle.borrow_mut();
            let mut cx = std::task::Context::from_waker(waker);
            assert!(Pin::new(&mut *idle).poll(&mut cx).is_pending());
        };
        join(&waker);
        assert!(!is_stalled(core(&runtime)));
        drop(waker);
        held.borrow_mut().clear();
        assert!(is_stalled(core(&runtime)), "the one waker left is a joiner's");
        // Joining again, by another waker, and dropping the handle undo it.
        join(Waker::noop());
        assert!(is_stalled(core(&runtime)));
        drop(first);
        assert!(is_stalled(core(&runtime)));
    }

    #[test]
    fn a_witness_that_ends_or_whose_slot_is_used_again_is_none() {
        let mut runtime = Runtime::new();
        let (tasks, held) = held_tasks(&mut runtime, 1);
        assert!(!is_stalled(core(&runtime)));
        tasks[0].cancel();
        runtime.run_until_idle();
        drop(tasks);
        assert_eq!(find(core(&runtime)).map(|stalled| stalled.len()), Some(0));
        // The old waker is still held; the slot's new task has a header of its own.
        let next = runtime.spawn(pending::<()>());
        runtime.run_until_idle();
        assert!(is_stalled(core(&runtime)));
        drop((held, next));
    }
}
