//! The slots that tasks live in, the queue of those that are scheduled, and the callbacks of those that
//! are over: a slab whose slots keep their header, and the memory of their task, for the next tenant.
//!
//! Inserting, taking and releasing are O(1). A program spawns few types of futures, many times each: in a
//! steady state of spawning and ending, a slot is used again and again with all that is in it, and a
//! spawn allocates nothing. A slot is free once its task is over and nobody has a claim on it any more; a
//! cell that is kept there holds neither a future nor a result, only memory, and all of them together no
//! more than [`KEPT_BYTES`]. Slot 0 is the future that `block_on` holds on its own
//! stack: it has a header, and no boxed task.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::context::Mailbox;
use crate::ready::{ReadyQueue, Scheduler};
use crate::task::TaskId;
use crate::task::cell::{Task, TaskCell};
use crate::task::join::{Callback, Extra, Join, Origin, too_many_callbacks};
use crate::task::state::{OnWake, TaskState};
use crate::task::waker::Header;

pub(crate) type BoxedTask = Pin<Box<dyn Task>>;

/// The slot of the future given to `block_on`.
pub(crate) const MAIN: u32 = 0;

/// The most memory that free slots keep, headers and allocator overhead not counted.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Whose task it holds, the header's state tells: one that is over is there for its memory.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) task: Option<BoxedTask>,
    pub(crate) header: Option<Arc<Header>>,
}

/// What a poll needs stands apart from what the end of a task needs, and so in fewer cache lines.
pub(crate) struct Table {
    slots: Vec<Slot>,
    /// By slot.
    joins: Vec<Join>,
    /// By slot: how many may still ask for the task's result.
    claims: Vec<u16>,
    /// By slot, for the few that have any.
    extras: FxHashMap<u32, Extra>,
    free: Vec<u32>,
    kept_bytes: usize,
    pub(crate) ready: ReadyQueue,
    /// To be called on the next turn: each has a claim on the task in its slot, which is counted.
    pub(crate) callbacks: VecDeque<(u32, Callback)>,
}

impl Table {
    pub(crate) fn new(scheduler: Scheduler) -> Table {
        let ready = ReadyQueue::new(scheduler);
        let (slots, joins, claims) = Default::default();
        let (extras, free, kept_bytes, callbacks) = Default::default();
        let mut table = Table { slots, joins, claims, extras, free, kept_bytes, ready, callbacks };
        table.grow();
        table
    }

    /// Finds a slot for a task that gets the number `number`, and there, or afresh, a header and a cell.
    /// It has one claim, and is scheduled. Takes `future` out of where it is: handed over by value it would be
    /// copied once more, as a whole.
    #[inline]
    pub(crate) fn insert<F: Future + 'static>(
        &mut self,
        number: u64,
        future: &mut Option<F>,
        spawned_at: &'static Location<'static>,
        home: &Arc<Mailbox>,
    ) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let id = TaskId::new(number, slot);
        let place = &mut self.slots[slot as usize];
        match &place.header {
            Some(header) if header.reuse(number) => {}
            _ => place.header = Some(Header::new(home.clone(), id)),
        }
        self.joins[slot as usize].spawned_at = spawned_at;
        self.claims[slot as usize] = 1;
        self.ready.push(slot);
        if let Some(kept) = &mut place.task {
            self.kept_bytes -= size_of_val(&**kept);
            kept.as_mut().renew(future);
        }
        if let Some(future) = future.take() {
            place.task = Some(TaskCell::boxed(future));
        }
        id
    }

    #[cold]
    fn grow(&mut self) -> u32 {
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 tasks at once");
        self.slots.push(Slot::default());
        self.joins.push(Join { joiner: None, spawned_at: Location::caller() });
        self.claims.push(0);
        slot
    }

    /// Gives slot 0 to the future of a new `block_on`.
    pub(crate) fn insert_main(
        &mut self,
        number: u64,
        entered_at: &'static Location<'static>,
        home: &Arc<Mailbox>,
    ) -> TaskId {
        let id = TaskId::new(number, MAIN);
        self.joins[MAIN as usize].spawned_at = entered_at;
        *self.header(MAIN) = Some(Header::new(home.clone(), id));
        id
    }

    /// Moves a task out of its slot.
    ///
    /// Field by field, as in [`put_back`](Table::put_back).
    #[inline]
    pub(crate) fn take(&mut self, slot: u32) -> Option<(BoxedTask, Arc<Header>)> {
        let place = &mut self.slots[slot as usize];
        let task = place.task.take()?;
        Some((task, place.header.take()?))
    }

    /// Puts a task back into its slot.
    ///
    /// Field by field: as a whole `Slot` it would be built in memory by halves and read back as one,
    /// for which the processor waits longer than for all the rest of a poll.
    #[inline]
    pub(crate) fn put_back(&mut self, slot: u32, task: BoxedTask, header: Arc<Header>) {
        let place = &mut self.slots[slot as usize];
        debug_assert!(place.task.is_none() && place.header.is_none());
        // Known to be empty, which the compiler cannot know: spares every poll the check on drop.
        std::mem::forget(place.task.replace(task));
        std::mem::forget(place.header.replace(header));
    }

    /// The header of the task in a slot, while nobody else has it.
    pub(crate) fn header(&mut self, slot: u32) -> &mut Option<Arc<Header>> {
        &mut self.slots[slot as usize].header
    }

    /// Frees the slot of a task that is over, that nobody has a claim on and whose cell is empty. Header
    /// and cell stay for the next tenant; gives the cell back, to be dropped where nothing is borrowed, if
    /// too much is kept.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32) -> Option<BoxedTask> {
        self.free.push(slot);
        if !self.extras.is_empty() {
            self.forget_extra(slot);
        }
        let place = &mut self.slots[slot as usize].task;
        let bytes = self.kept_bytes + place.as_ref().map_or(0, |task| size_of_val(&**task));
        if bytes > KEPT_BYTES {
            return place.take();
        }
        self.kept_bytes = bytes;
        None
    }

    #[inline(never)]
    fn forget_extra(&mut self, slot: u32) {
        self.extras.remove(&slot);
    }

    /// What is kept beside a task. It need not be in its slot.
    #[inline]
    pub(crate) fn join(&mut self, slot: u32) -> &mut Join {
        &mut self.joins[slot as usize]
    }

    /// How many may still ask for a task's result.
    #[inline]
    pub(crate) fn claims(&mut self, slot: u32) -> &mut u16 {
        &mut self.claims[slot as usize]
    }

    /// Queues a callback of a task that is over, with a claim of its own.
    pub(crate) fn queue_callback(&mut self, slot: u32, callback: Callback) {
        let claims = self.claims(slot);
        *claims = claims.checked_add(1).unwrap_or_else(|| too_many_callbacks());
        self.callbacks.push_back((slot, callback));
    }

    /// What few tasks have: made if this one has none.
    pub(crate) fn extra(&mut self, slot: u32) -> &mut Extra {
        self.extras.entry(slot).or_default()
    }

    /// The same, if it has any.
    #[inline]
    pub(crate) fn known_extra(&mut self, slot: u32) -> Option<&mut Extra> {
        if self.extras.is_empty() { None } else { self.extras.get_mut(&slot) }
    }

    pub(crate) fn origin(&self, slot: u32) -> Origin {
        let name = match slot {
            MAIN => Some("main".into()),
            _ => self.extras.get(&slot).and_then(|extra| extra.name.clone()),
        };
        Origin { name, spawned_at: self.joins[slot as usize].spawned_at }
    }

    /// The state of the task in a slot, if it is there.
    pub(crate) fn state(&self, slot: u32) -> Option<TaskState> {
        Some(self.slots[slot as usize].header.as_ref()?.state.get())
    }

    /// Whether the task in a slot is over and its result there.
    #[inline]
    pub(crate) fn is_over(&self, slot: u32) -> bool {
        self.slots[slot as usize].task.is_some() && self.state(slot).is_some_and(TaskState::is_over)
    }

    /// The task in a slot, if it is there. Whether it is over, its cell says.
    #[inline]
    pub(crate) fn task(&mut self, slot: u32) -> Option<&mut BoxedTask> {
        self.slots[slot as usize].task.as_mut()
    }

    /// The slot of a task that lives and is not running.
    pub(crate) fn get(&self, id: TaskId) -> Option<&Slot> {
        let slot = self.slots.get(id.slot() as usize)?;
        let header = slot.header.as_ref()?;
        (header.id() == id && !header.state.get().is_over()).then_some(slot)
    }

    /// Wakes a task of which no observer is told, by the lower half of its number, unless it is over or
    /// just running.
    #[inline]
    pub(crate) fn wake(&mut self, slot: u32, number: u32) {
        let Some(header) = &self.slots[slot as usize].header else { return };
        if header.id().get() as u32 == number && header.state.wake() == OnWake::Enqueue {
            self.ready.push(slot);
        }
    }

    /// Every task that lives and is not running, main first, then by slot.
    pub(crate) fn living(&self) -> impl Iterator<Item = (&Arc<Header>, &Join)> {
        self.slots.iter().zip(&self.joins).filter_map(|(slot, join)| {
            let header = slot.header.as_ref()?;
            (!header.state.get().is_over()).then_some((header, join))
        })
    }
}
