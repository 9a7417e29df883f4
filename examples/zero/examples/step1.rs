//! A future written by hand: it is ready when another thread has done its work.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use zero::step1::block_on;

/// What the future and the thread share.
#[derive(Default)]
struct Shared {
    answer: Option<u32>,
    waker: Option<Waker>,
}

struct Answer {
    shared: Arc<Mutex<Shared>>,
    polls: u32,
}

impl Future for Answer {
    type Output = (u32, u32);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let mut shared = self.shared.lock().unwrap();
        if let Some(answer) = shared.answer {
            return Poll::Ready((answer, self.polls));
        }
        // First the look, then the waker is left for the other thread, and both under the lock, so that no
        // answer can come in between.
        if shared.waker.replace(cx.waker().clone()).is_none() {
            println!("pending");
            let shared = self.shared.clone();
            thread::spawn(move || work(&shared));
        }
        Poll::Pending
    }
}

fn work(shared: &Mutex<Shared>) {
    thread::sleep(Duration::from_millis(50));
    println!("the work is done");
    let mut shared = shared.lock().unwrap();
    shared.answer = Some(42);
    shared.waker.take().unwrap().wake();
}

fn main() {
    let (answer, polls) = block_on(Answer { shared: Arc::default(), polls: 0 });
    println!("{answer} after {polls} polls");
}
