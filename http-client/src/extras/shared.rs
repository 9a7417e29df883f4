//! A value that many tasks wait for, and a task of its own finds: it goes on when the one that asked
//! first gives up.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The value, or those who wait for it.
pub(crate) struct Shared<T> {
    state: Rc<RefCell<State<T>>>,
}

enum State<T> {
    Asked(Vec<Waker>),
    Found(T),
}

impl<T: Clone + 'static> Shared<T> {
    /// Starts a task that finds the value. If it ends without one, by a panic or with the runtime,
    /// the value is `lost`.
    pub(crate) fn find(
        name: &'static str,
        work: impl Future<Output = T> + 'static,
        lost: T,
    ) -> Self {
        let state = Rc::new(RefCell::new(State::Asked(Vec::new())));
        let slot = SetOnDrop { state: state.clone(), lost: Some(lost) };
        let task = mainspring::spawn_named(name, async move {
            let found = work.await;
            slot.set_to(found);
        });
        // Only those who wait for the value are told of its end.
        drop(task);
        Self { state }
    }

    /// The value, if it has been found.
    pub(crate) fn get(&self) -> Option<T> {
        match &*self.state.borrow() {
            State::Asked(_) => None,
            State::Found(value) => Some(value.clone()),
        }
    }

    /// Waits for the value.
    pub(crate) async fn wait(&self) -> T {
        poll_fn(|cx| match &mut *self.state.borrow_mut() {
            State::Asked(wakers) => {
                wakers.push(cx.waker().clone());
                Poll::Pending
            }
            State::Found(value) => Poll::Ready(value.clone()),
        })
        .await
    }
}

/// Sets the value, at the latest when it is dropped: then to the one that says it is lost.
struct SetOnDrop<T> {
    state: Rc<RefCell<State<T>>>,
    lost: Option<T>,
}

impl<T> SetOnDrop<T> {
    fn set_to(mut self, value: T) {
        self.lost = None;
        self.set(value);
    }

    fn set(&self, value: T) {
        if let State::Asked(wakers) = self.state.replace(State::Found(value)) {
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Drop for SetOnDrop<T> {
    fn drop(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.set(lost);
        }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_wait_get_it_and_a_task_that_fails_loses_it() {
        mainspring::run(async {
            let shared = Shared::find("test", async { 7 }, 0);
            assert_eq!(shared.get(), None);
            let other = shared.clone();
            let waiting = mainspring::spawn(async move { other.wait().await });
            assert_eq!((shared.wait().await, waiting.await.unwrap()), (7, 7));
            assert_eq!(shared.get(), Some(7));

            let lost = Shared::find("test", async { panic!("on purpose") }, 9);
            assert_eq!(lost.wait().await, 9);
        });
    }
}
