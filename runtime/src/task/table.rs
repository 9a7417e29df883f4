//! 8 of 14. Where do tasks live, and when is a slot used again? Next: `task/cell.rs`, what is in a slot.
//!
//! A slab of slots. Inserting, taking and freeing are O(1). A slot is free once its task is finished and no
//! handle can ask for the result any more. It keeps its header and its cell for the next task: a program spawns few
//! types of futures, many times each, so in a steady state of spawning and ending a spawn allocates nothing.
//! Cells that are kept hold neither a future nor a result, and together at most [`MAX_KEPT_BYTES`].
//!
//! Slot 0 is that of the future which `block_on` holds on its own stack: it has a header, and no cell.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroU32;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use crate::event_loop::LoopInbox;
use crate::event_loop::ready::{ReadyQueue, Scheduler};
use crate::task::TaskId;
use crate::task::cell::{Task, TaskCell};
use crate::task::join::{Callback, Origin, TaskMeta};
use crate::task::state::OnTake;
use crate::task::waker::Header;

pub(crate) type BoxedTask = Pin<Box<dyn Task>>;

/// The slot of the future given to `block_on`.
pub(crate) const MAIN: u32 = 0;

/// The memory that free slots keep at most, headers and allocator overhead not counted.
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;

/// The header stays here for as long as the slot is the task's; the cell is moved out to be polled. Whether a task is
/// finished, the header's state says: a finished one may be here for its memory alone.
#[derive(Default)]
struct Slot {
    header: Option<Arc<Header>>,
    task: Option<BoxedTask>,
}

/// What a poll does not need. Apart from the slots, which so take fewer cache lines.
struct Join {
    /// The waker of the task that awaits this one.
    joiner: Option<Waker>,
    spawned_at: &'static Location<'static>,
    /// What few tasks have.
    meta: Option<Box<TaskMeta>>,
    /// How many [`TaskRef`](crate::task::join::TaskRef)s can still ask for the result.
    references: u32,
}

/// The tasks of one loop.
pub(crate) struct Table {
    /// The number of the runtime, which makes an id of another one no task of this one.
    runtime: NonZeroU32,
    slots: Vec<Slot>,
    joins: Vec<Join>,
    free: Vec<u32>,
    kept_bytes: usize,
    pub(crate) ready: ReadyQueue,
    /// To be called on the next turn: each has a reference to the task in its slot, which is counted.
    pub(crate) callbacks: VecDeque<(u32, Callback)>,
    pub(crate) witness: Option<Witness>,
}

/// The task that showed last that the loop has not stalled: it has a waker that is not a joiner's.
pub(crate) struct Witness {
    slot: u32,
    /// The address of its header, which is also its wakers' data.
    header: *const (),
    /// How many of its wakers are joiners in this table.
    joins: usize,
}

impl Table {
    pub(crate) fn new(runtime: NonZeroU32, scheduler: Scheduler) -> Table {
        let (slots, joins, free, callbacks) = Default::default();
        let ready = ReadyQueue::new(scheduler);
        let mut table =
            Table { runtime, slots, joins, free, kept_bytes: 0, ready, callbacks, witness: None };
        table.grow();
        table
    }

    /// Finds a slot for a task that gets the number `number`, and there, or afresh, a header and a cell, into which
    /// `future` is taken. It is scheduled, and has one reference.
    #[inline(always)]
    pub(crate) fn insert<F: Future + 'static>(
        &mut self,
        number: u64,
        future: &mut Option<F>,
        spawned_at: &'static Location<'static>,
        inbox: &Arc<LoopInbox>,
    ) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let join = &mut self.joins[slot as usize];
        (join.spawned_at, join.references) = (spawned_at, 1);
        self.ready.push(slot);
        let place = &mut self.slots[slot as usize];
        self.kept_bytes -= place.task.as_ref().map_or(0, |kept| size_of_val(&**kept));
        if !place.header.as_ref().is_some_and(|header| header.reuse(number)) {
            place.header = None;
        } else if let Some(kept) = &mut place.task {
            kept.as_mut().renew(future);
        }
        if let Some(future) = future.take() {
            let new = || Header::new(inbox.clone(), slot, number);
            let header = place.header.get_or_insert_with(new).clone();
            place.task = Some(TaskCell::boxed(header, future));
        }
        TaskId::new(number, slot, self.runtime)
    }

    fn grow(&mut self) -> u32 {
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 tasks at once");
        self.slots.push(Slot::default());
        let spawned_at = Location::caller();
        self.joins.push(Join { joiner: None, spawned_at, meta: None, references: 0 });
        slot
    }

    /// Gives slot 0 to the future of a new `block_on`, and schedules it.
    pub(crate) fn insert_main(
        &mut self,
        number: u64,
        entered_at: &'static Location<'static>,
        inbox: &Arc<LoopInbox>,
    ) -> (TaskId, Arc<Header>) {
        self.joins[MAIN as usize].spawned_at = entered_at;
        let header = Header::new(inbox.clone(), MAIN, number);
        self.slots[MAIN as usize].header = Some(header.clone());
        self.ready.push(MAIN);
        (TaskId::new(number, MAIN, self.runtime), header)
    }

    /// Moves a task out of its slot, to be polled or dropped where nothing is borrowed.
    pub(crate) fn take(&mut self, slot: u32) -> Option<BoxedTask> {
        self.slots[slot as usize].task.take()
    }

    /// The same for a task that was taken from the ready queue, with its number and what is to be done with it.
    pub(crate) fn take_ready(&mut self, slot: u32) -> Option<(TaskId, OnTake, BoxedTask)> {
        let place = &mut self.slots[slot as usize];
        let (task, header) = (place.task.take()?, place.header.as_ref()?);
        Some((TaskId::new(header.number(), slot, self.runtime), header.state.take(), task))
    }

    /// Puts a task back into its slot. Gives its header.
    pub(crate) fn put_back(&mut self, slot: u32, task: BoxedTask) -> &Arc<Header> {
        let place = &mut self.slots[slot as usize];
        // The place is known to be empty, which the compiler cannot know: spares every poll the check on drop.
        std::mem::forget(place.task.replace(task));
        place.header.as_ref().expect("a task has a header for as long as it lives")
    }

    /// The header of the task that a slot belongs to.
    pub(crate) fn header(&self, slot: u32) -> &Arc<Header> {
        match &self.slots[slot as usize].header {
            Some(header) => header,
            None => unreachable!("a slot that was ever used has a header"),
        }
    }

    pub(crate) fn id(&self, slot: u32) -> TaskId {
        TaskId::new(self.header(slot).number(), slot, self.runtime)
    }

    /// The header of a task that is not finished.
    pub(crate) fn living(&self, id: TaskId) -> Option<&Arc<Header>> {
        let header = self.slots.get(id.slot() as usize)?.header.as_ref()?;
        (self.id(id.slot()) == id && !header.state.get().is_finished()).then_some(header)
    }

    /// Every task that is not finished, main first, then by slot.
    pub(crate) fn all_living(&self) -> impl Iterator<Item = &Arc<Header>> {
        let headers = self.slots.iter().filter_map(|slot| slot.header.as_ref());
        headers.filter(|header| !header.state.get().is_finished())
    }

    /// The cell in a slot, unless it was moved out. Whether its task is finished, it says itself.
    pub(crate) fn task(&mut self, slot: u32) -> Option<&mut BoxedTask> {
        self.slots[slot as usize].task.as_mut()
    }

    /// Whether the task in a slot is finished and its result in place.
    pub(crate) fn is_finished(&self, slot: u32) -> bool {
        self.slots[slot as usize].task.is_some() && self.header(slot).state.get().is_finished()
    }

    /// Adds a reference to a task.
    pub(crate) fn add_reference(&mut self, slot: u32) {
        let references = &mut self.joins[slot as usize].references;
        *references = references.checked_add(1).expect("fewer than 2^32 references to a task");
    }

    /// Drops a reference to a task. True if it was the last.
    pub(crate) fn drop_reference(&mut self, slot: u32) -> bool {
        let references = &mut self.joins[slot as usize].references;
        *references -= 1;
        *references == 0
    }

    /// Puts a finished task back into its slot, tells its group, and queues its callbacks. Gives the waker of the
    /// task that awaits it, and whether nothing can ask for its result.
    #[inline(always)]
    pub(crate) fn end(&mut self, slot: u32, task: BoxedTask) -> (Option<Waker>, bool) {
        self.put_back(slot, task);
        if self.known_meta(slot).is_some() {
            self.tell_group_and_callbacks(slot);
        }
        (self.take_joiner(slot), self.joins[slot as usize].references == 0)
    }

    /// Frees the slot of a task that is finished, that has no reference and whose cell is empty. Header and
    /// cell stay for the next task, unless too much is kept. What is dropped here runs no code of a user.
    #[inline(always)]
    pub(crate) fn free(&mut self, slot: u32) {
        // Few have any: spares the others a call.
        if self.known_meta(slot).is_some() {
            self.joins[slot as usize].meta = None;
        }
        self.free.push(slot);
        let task = &mut self.slots[slot as usize].task;
        let bytes = self.kept_bytes + task.as_ref().map_or(0, |task| size_of_val(&**task));
        if bytes > MAX_KEPT_BYTES {
            *task = None;
        } else {
            self.kept_bytes = bytes;
        }
    }

    /// Has the end of a task wake `joiner`. Gives back the waker that it was to wake before.
    pub(crate) fn set_joiner(&mut self, slot: u32, joiner: Waker) -> Option<Waker> {
        let before = self.take_joiner(slot);
        if let Some(witness) = &mut self.witness {
            witness.joins += usize::from(joiner.data() == witness.header);
        }
        self.joins[slot as usize].joiner = Some(joiner);
        before
    }

    pub(crate) fn take_joiner(&mut self, slot: u32) -> Option<Waker> {
        let joiner = self.joins[slot as usize].joiner.take()?;
        if let Some(witness) = &mut self.witness {
            witness.joins -= usize::from(joiner.data() == witness.header);
        }
        Some(joiner)
    }

    pub(crate) fn joiner(&self, slot: u32) -> Option<&Waker> {
        self.joins[slot as usize].joiner.as_ref()
    }

    /// Remembers a task that has a waker which is not a joiner's.
    pub(crate) fn set_witness(&mut self, slot: u32, joins: usize) {
        let header = Arc::as_ptr(self.header(slot)).cast();
        self.witness = Some(Witness { slot, header, joins });
    }

    /// Whether the task that was remembered has such a waker still. O(1).
    pub(crate) fn witness_holds(&self) -> bool {
        self.witness.as_ref().is_some_and(|witness| {
            let header = self.header(witness.slot);
            Arc::as_ptr(header).cast() == witness.header
                && !header.state.get().is_finished()
                && header.wakers() > witness.joins
        })
    }

    /// Queues a callback of a task that is finished, with a reference of its own.
    pub(crate) fn queue_callback(&mut self, slot: u32, callback: Callback) {
        self.add_reference(slot);
        self.callbacks.push_back((slot, callback));
    }

    /// Tells the group that a finished task is a member of, and queues its callbacks.
    pub(crate) fn tell_group_and_callbacks(&mut self, slot: u32) {
        let meta = self.meta(slot);
        let (group, callbacks) = (meta.group.take(), std::mem::take(&mut meta.callbacks));
        if let Some((completed, place)) = group {
            completed.borrow_mut().push_back(place);
        }
        callbacks.into_iter().for_each(|(_, callback)| self.queue_callback(slot, callback));
    }

    /// What few tasks have: made if this one has none.
    pub(crate) fn meta(&mut self, slot: u32) -> &mut TaskMeta {
        self.joins[slot as usize].meta.get_or_insert_default()
    }

    /// The same, if it has any.
    pub(crate) fn known_meta(&mut self, slot: u32) -> Option<&mut TaskMeta> {
        self.joins[slot as usize].meta.as_deref_mut()
    }

    /// What a task's errors and events say of it.
    pub(crate) fn origin(&self, slot: u32) -> Origin {
        let join = &self.joins[slot as usize];
        let name = match slot {
            MAIN => Some(Cow::Borrowed("main")),
            _ => join.meta.as_ref().and_then(|meta| meta.name.clone()),
        };
        Origin { name, spawned_at: join.spawned_at }
    }
}
