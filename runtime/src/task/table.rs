//! The slots that tasks live in, and the queue of those that are scheduled: a slab whose slots keep
//! their header, and the memory of their task, for the next tenant.
//!
//! Inserting, taking and releasing are O(1). A program spawns few types of futures, many times each: in a
//! steady state of spawning and ending, a slot is used again and again with all that is in it, and a
//! spawn allocates nothing. A kept cell holds neither a future nor a result, only memory, and all of
//! them together no more than [`KEPT_BYTES`]. Slot 0 is the future that `block_on` holds on its own
//! stack: it has a header, and no boxed task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::context::Mailbox;
use crate::ready::{ReadyQueue, Scheduler};
use crate::task::TaskId;
use crate::task::cell::{NewTask, Task};
use crate::task::waker::Header;

pub(crate) type BoxedTask = Pin<Box<dyn Task>>;

/// The slot of the future given to `block_on`.
pub(crate) const MAIN: u32 = 0;

/// The most memory that free slots keep, join cells, headers and allocator overhead not counted.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Whose task it holds, the header's state tells: one that is over is there for its memory.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) task: Option<BoxedTask>,
    pub(crate) header: Option<Arc<Header>>,
}

pub(crate) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    kept_bytes: usize,
    pub(crate) ready: ReadyQueue,
}

impl Table {
    pub(crate) fn new(scheduler: Scheduler) -> Table {
        let ready = ReadyQueue::new(scheduler);
        Table { slots: vec![Slot::default()], free: Vec::new(), kept_bytes: 0, ready }
    }

    /// Finds a slot for a task that gets the number `number`, and there, or afresh, a header and a cell.
    #[inline]
    pub(crate) fn insert<F: Future + 'static>(
        &mut self,
        number: u64,
        new: &mut NewTask<F>,
        home: &Arc<Mailbox>,
    ) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let id = TaskId::new(number, slot);
        let place = &mut self.slots[slot as usize];
        match &place.header {
            Some(header) if header.reuse(number) => {}
            _ => place.header = Some(Header::new(home.clone(), id)),
        }
        if let Some(kept) = &mut place.task {
            self.kept_bytes -= size_of_val(&**kept);
            kept.as_mut().renew(new);
        }
        if new.future.is_some() {
            place.task = new.boxed();
        }
        id
    }

    #[cold]
    fn grow(&mut self) -> u32 {
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 tasks at once");
        self.slots.push(Slot::default());
        slot
    }

    /// Gives slot 0 to the future of a new `block_on`.
    pub(crate) fn insert_main(&mut self, number: u64, home: &Arc<Mailbox>) -> TaskId {
        let id = TaskId::new(number, MAIN);
        self.slots[MAIN as usize].header = Some(Header::new(home.clone(), id));
        id
    }

    /// Moves a task out of its slot.
    ///
    /// Field by field, as in [`put_back`](Table::put_back).
    #[inline]
    pub(crate) fn take(&mut self, slot: u32) -> (Option<BoxedTask>, Option<Arc<Header>>) {
        let place = &mut self.slots[slot as usize];
        (place.task.take(), place.header.take())
    }

    /// Puts a task back into its slot.
    ///
    /// Field by field: as a whole `Slot` it would be built in memory by halves and read back as one,
    /// for which the processor waits longer than for all the rest of a poll.
    #[inline]
    pub(crate) fn put_back(&mut self, slot: u32, task: Option<BoxedTask>, header: Arc<Header>) {
        let place = &mut self.slots[slot as usize];
        debug_assert!(place.task.is_none() && place.header.is_none());
        // Known to be empty, which the compiler cannot know: spares every poll the check on drop.
        std::mem::forget(std::mem::replace(&mut place.task, task));
        std::mem::forget(place.header.replace(header));
    }

    /// Frees the slot of main.
    pub(crate) fn release_main(&mut self, header: Arc<Header>) {
        self.slots[MAIN as usize].header = Some(header);
    }

    /// Frees the slot of a task that is over and has been told of. Header and cell stay for the next
    /// tenant; gives the cell back, to be dropped where nothing is borrowed, if too much is kept.
    #[inline]
    pub(crate) fn release(&mut self, header: Arc<Header>, task: BoxedTask) -> Option<BoxedTask> {
        let slot = header.slot();
        self.free.push(slot);
        let bytes = self.kept_bytes + size_of_val(&*task);
        if bytes > KEPT_BYTES {
            self.put_back(slot, None, header);
            return Some(task);
        }
        self.kept_bytes = bytes;
        self.put_back(slot, Some(task), header);
        None
    }

    /// The slot of a task that lives and is not running.
    pub(crate) fn get(&self, id: TaskId) -> Option<&Slot> {
        let slot = self.slots.get(id.slot() as usize)?;
        let header = slot.header.as_ref()?;
        (header.id() == id && !header.state.get().is_over()).then_some(slot)
    }

    /// Every task that lives and is not running, main first, then by slot.
    pub(crate) fn living(&self) -> impl Iterator<Item = (&Arc<Header>, Option<&BoxedTask>)> {
        self.slots.iter().filter_map(|slot| {
            let header = slot.header.as_ref()?;
            (!header.state.get().is_over()).then_some((header, slot.task.as_ref()))
        })
    }

    /// How many slots are in use by tasks, running ones included, main excluded.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - 1 - self.free.len()
    }
}
