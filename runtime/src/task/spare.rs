//! Cells of tasks that are over, kept for the next task of the same type.
//!
//! A program spawns few types of futures, many times each. Without this, half of the cost of a spawn is
//! the allocator's. A cell that is kept holds neither a future nor a result, only memory, and all of
//! them together no more than [`SPARE_BYTES`].

use std::any::{Any, TypeId};
use std::future::Future;
use std::pin::Pin;

use crate::task::cell::TaskCell;

/// The most memory that is kept, join cells and allocator overhead not counted.
const SPARE_BYTES: usize = 8 * 1024 * 1024;

/// The most types that cells are kept of. They are looked for one by one, which for so few is quicker
/// than to hash.
const SHELVES: usize = 16;

type Shelf<F> = Vec<Pin<Box<TaskCell<F>>>>;

#[derive(Default)]
pub(crate) struct Spares {
    shelves: Vec<(TypeId, Box<dyn Any>)>,
    bytes: usize,
}

impl Spares {
    /// A cell for a future of this type, if one is kept.
    pub(crate) fn take<F: Future + 'static>(&mut self) -> Option<Pin<Box<TaskCell<F>>>> {
        let place = self.place::<F>()?;
        let cell = self.shelves[place].1.downcast_mut::<Shelf<F>>()?.pop()?;
        self.bytes -= size_of::<TaskCell<F>>();
        Some(cell)
    }

    /// Keeps a cell. Gives it back, to be dropped where nothing is borrowed, if there is no room.
    pub(crate) fn put<F: Future + 'static>(
        &mut self,
        cell: Pin<Box<TaskCell<F>>>,
    ) -> Option<Pin<Box<TaskCell<F>>>> {
        let bytes = self.bytes + size_of::<TaskCell<F>>();
        if bytes > SPARE_BYTES {
            return Some(cell);
        }
        let place = match self.place::<F>() {
            Some(place) => place,
            None if self.shelves.len() < SHELVES => {
                self.shelves.push((TypeId::of::<F>(), Box::new(Shelf::<F>::new())));
                self.shelves.len() - 1
            }
            None => return Some(cell),
        };
        let (_, shelf) = &mut self.shelves[place];
        let Some(shelf) = shelf.downcast_mut::<Shelf<F>>() else { return Some(cell) };
        shelf.push(cell);
        self.bytes = bytes;
        None
    }

    fn place<F: Future + 'static>(&self) -> Option<usize> {
        let wanted = TypeId::of::<F>();
        self.shelves.iter().position(|(of, _)| *of == wanted)
    }
}
