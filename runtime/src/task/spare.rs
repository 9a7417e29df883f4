//! Cells of tasks that are over, kept for the next task of the same type.
//!
//! A program spawns few types of futures, many times each. Without this, half of the cost of a spawn is
//! the allocator's. A cell that is kept holds neither a future nor a result, only memory, and all of
//! them together no more than [`SPARE_BYTES`].

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;

use crate::task::cell::TaskCell;

/// The most memory that is kept, join cells and allocator overhead not counted.
const SPARE_BYTES: usize = 8 * 1024 * 1024;

type Shelf<F> = Vec<Pin<Box<TaskCell<F>>>>;

#[derive(Default)]
pub(crate) struct Spares {
    shelves: HashMap<TypeId, Box<dyn Any>, BuildHasherDefault<TypeHasher>>,
    bytes: usize,
}

impl Spares {
    /// A cell for a future of this type, if one is kept.
    pub(crate) fn take<F: Future + 'static>(&mut self) -> Option<Pin<Box<TaskCell<F>>>> {
        let shelf = self.shelves.get_mut(&TypeId::of::<F>())?;
        let cell = shelf.downcast_mut::<Shelf<F>>()?.pop()?;
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
        let shelf = self.shelves.entry(TypeId::of::<F>());
        let shelf = shelf.or_insert_with(|| Box::new(Shelf::<F>::new()));
        let Some(shelf) = shelf.downcast_mut::<Shelf<F>>() else { return Some(cell) };
        shelf.push(cell);
        self.bytes = bytes;
        None
    }
}

/// A `TypeId` is a hash already.
#[derive(Default)]
struct TypeHasher(u64);

impl Hasher for TypeHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_ne_bytes(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
