//! Waiting for many tasks at a cost that does not grow with the square of their number.
//!
//! A task that waits for n others and looks at each of them whenever it is woken makes n²/2 looks
//! in all: fifty million for ten thousand. Here each member, when it ends, notes its place in a
//! list that it shares with the group, and then wakes the waiting task. A poll of the group takes
//! from that list and looks at nobody else: ten thousand looks, at the start, for ten thousand.
//!
//! The waker that a member holds is the waiting task's own, and not one made for the group: the
//! loop counts the holders of its wakers to tell a stall, and sees that this one is used by a
//! task's end only.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, RawWakerVTable, Waker, ready};

use crate::task::join::Completed;
use crate::{JoinError, JoinHandle};

/// Tasks that one future waits for.
pub(crate) struct Group<T> {
    /// By place, which is the order of the arguments. `None` once it is over and was handed out.
    members: Vec<Option<JoinHandle<T>>>,
    left: usize,
    released: bool,
    completed: Rc<Completed>,
    registered: Option<WakerIdentity>,
}

impl<T> Group<T> {
    pub(crate) fn new(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Group<T> {
        let completed = Rc::<Completed>::default();
        let join = |(place, handle): (usize, JoinHandle<T>)| {
            handle.join_group(&completed, place);
            Some(handle)
        };
        let members: Vec<_> = handles.into_iter().enumerate().map(join).collect();
        let left = members.len();
        Group { members, left, released: false, completed, registered: None }
    }

    /// How many members have not been handed out.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Hands out the next member that is over, with its place; `None` when there is none left.
    ///
    /// O(1), but for the first poll that waits and the first after a change of the waiting task:
    /// these are O(n).
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, JoinHandle<T>)>> {
        assert!(!self.released, "a future that waits for tasks was polled after its end");
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut arrived = self.completed.borrow_mut().pop_front();
        if arrived.is_none() && self.registered != Some(identity(cx.waker())) {
            self.register(cx);
            arrived = self.completed.borrow_mut().pop_front();
        }
        let Some(place) = arrived else { return Poll::Pending };
        let member = self.members[place].take().expect("a member arrives once");
        self.left -= 1;
        Poll::Ready(Some((place, member)))
    }

    /// As [`poll_next`](Group::poll_next), and reads the member's result.
    pub(crate) fn poll_result(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, Result<T, JoinError>)>>
    where
        T: 'static,
    {
        let Some((place, mut member)) = ready!(self.poll_next(cx)) else {
            return Poll::Ready(None);
        };
        // Ready: it is over, or it is the very task that waits, which is an error.
        Pin::new(&mut member).poll(cx).map(|result| Some((place, result)))
    }

    /// The members that have not been handed out, in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.members.iter().flatten()
    }

    /// Ends the group, and gives the members that have not been handed out, in order. What becomes of them is no
    /// concern of the group any more.
    pub(crate) fn release(&mut self) -> Vec<JoinHandle<T>> {
        (self.left, self.released) = (0, true);
        let rest: Vec<_> = std::mem::take(&mut self.members).into_iter().flatten().collect();
        rest.iter().for_each(JoinHandle::leave_group);
        rest
    }

    /// Gives the caller's waker to every member.
    fn register(&mut self, cx: &mut Context<'_>) {
        for (place, member) in self.members.iter().enumerate() {
            if member.as_ref().is_some_and(|member| member.poll_over(cx).is_ready()) {
                // Not over, or it would be in the list; so it is the waiting task itself.
                self.completed.borrow_mut().push_back(place);
            }
        }
        self.registered = Some(identity(cx.waker()));
    }
}

/// Tells a waker from others without holding it. Compared only while a member holds a clone of the
/// waker, so that its address is not another's by now.
type WakerIdentity = (*const (), &'static RawWakerVTable);

fn identity(waker: &Waker) -> WakerIdentity {
    (waker.data(), waker.vtable())
}
