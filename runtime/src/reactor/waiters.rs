//! Who waits for a source: one slab of nodes, in which those that wait in the same direction are a ring.

use std::cell::Cell;
use std::task::Waker;

/// No node: keys count from 1.
const NONE: u32 = 0;

/// The key of a waiter's node, kept where the waiter is. It has no node before it waits for the first time.
#[derive(Default)]
pub(crate) struct Waiter(Cell<u32>);

impl Waiter {
    pub(super) fn has_node(&self) -> bool {
        self.0.get() != NONE
    }
}

/// The slab of waiters. The nodes that wait in a direction are a ring: the last comes before the first.
#[derive(Default)]
pub(super) struct Waiters {
    pub(super) nodes: Vec<Node>,
    /// The first free node; each names the next.
    free: u32,
}

#[derive(Default)]
pub(super) struct Node {
    /// There while the node is in a ring.
    waker: Option<Waker>,
    previous: u32,
    next: u32,
}

impl Waiters {
    fn node(&mut self, key: u32) -> &mut Node {
        &mut self.nodes[key as usize - 1]
    }

    /// Gives a waiter a node, if it has none.
    pub(super) fn key(&mut self, waiter: &Waiter) -> u32 {
        if !waiter.has_node() {
            if self.free == NONE {
                self.nodes.push(Node::default());
                self.free = u32::try_from(self.nodes.len()).expect("fewer than 2^32 waiters");
            }
            waiter.0.set(self.free);
            self.free = self.node(waiter.0.get()).next;
        }
        waiter.0.get()
    }

    /// Frees the node of a waiter, and takes it out of the ring that starts at `first`, if it is in it.
    pub(super) fn leave(&mut self, first: &mut u32, waiter: &Waiter) -> Option<Waker> {
        if !waiter.has_node() {
            return None;
        }
        let key = waiter.0.replace(NONE);
        let waker = self.remove(first, key);
        self.node(key).next = self.free;
        self.free = key;
        waker
    }

    /// Whether the node is in a ring already, with a waker that does what `waker` would.
    pub(super) fn will_wake(&mut self, key: u32, waker: &Waker) -> bool {
        self.node(key).waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Puts a node last in the ring that starts at `first`, or only exchanges its waker if it is there.
    pub(super) fn wait(&mut self, first: &mut u32, key: u32, waker: Waker) -> Option<Waker> {
        let node = self.node(key);
        let before = node.waker.replace(waker);
        if before.is_none() && *first == NONE {
            // Most often it is the only one.
            (*first, node.previous, node.next) = (key, key, key);
        } else if before.is_none() {
            let previous = std::mem::replace(&mut self.node(*first).previous, key);
            self.node(previous).next = key;
            let node = self.node(key);
            (node.previous, node.next) = (previous, *first);
        }
        before
    }

    fn remove(&mut self, first: &mut u32, key: u32) -> Option<Waker> {
        let node = self.node(key);
        let waker = node.waker.take()?;
        let (previous, next) = (node.previous, node.next);
        if next != key {
            self.node(previous).next = next;
            self.node(next).previous = previous;
        }
        if *first == key {
            *first = if next == key { NONE } else { next };
        }
        Some(waker)
    }

    /// Takes all nodes out of the ring that starts at `first`, from the first on.
    pub(super) fn remove_all(&mut self, first: &mut u32, wakers: &mut Vec<Waker>) {
        while *first != NONE {
            if let Some(waker) = self.remove(first, *first) {
                wakers.push(waker);
            }
        }
    }
}
