//! A request to stop that any thread can make and a task can wait for.
//!
//! It doubles as a lesson: a waker may be called from any thread, and that is all that a loop needs
//! to be reached from outside of it. The `Event` keeps the wakers; it was made for no runtime.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use event_listener::Event;
use futures_util::FutureExt as _;
use mainspring::future::race;

/// A switch that can be thrown once. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: AtomicBool,
    at_once: AtomicBool,
    /// It has been asked for, for those who wait.
    event: Event,
}

/// What [`Stop::asked`] returns.
pub type Asked = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Stop {
    /// A switch that has not been thrown yet.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Asks for the stop. Asking again changes nothing.
    pub fn ask(&self) {
        self.0.asked.store(true, SeqCst);
        self.0.event.notify(usize::MAX);
    }

    /// Asks for a stop at once: what is in flight is given up, too. For a run that cannot keep what
    /// it fetches.
    pub fn abort(&self) {
        self.0.at_once.store(true, SeqCst);
        self.ask();
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(SeqCst)
    }

    /// Whether it was asked for at once.
    pub fn is_abort(&self) -> bool {
        self.0.at_once.load(SeqCst)
    }

    /// Waits until a stop is asked for. Dropping it midway loses nothing.
    pub fn asked(&self) -> Asked {
        let stop = self.clone();
        Box::pin(async move {
            // Listening first: a stop that is asked for after the look is heard.
            let heard = stop.0.event.listen();
            if !stop.is_asked() {
                heard.await;
            }
        })
    }

    /// Does this unless a stop is asked for first.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        race(work.map(Some), self.asked().map(|()| None)).await
    }

    /// Throws the switch on Ctrl-C, on SIGTERM and on SIGHUP, unless the process was started with
    /// that ignored, as `nohup` does. A second Ctrl-C ends the process at once, with code 130; the
    /// others may come several times, as they do when a terminal closes.
    ///
    /// # Errors
    /// One sentence, if the platform refuses the handler.
    pub fn on_ctrl_c(&self) -> Result<(), String> {
        let stop = self.clone();
        watch(move |signal| {
            if signal == INTERRUPT && stop.is_asked() {
                std::process::exit(130);
            }
            stop.ask();
        })
    }

    /// The same for work that is finished after a first Ctrl-C or SIGTERM and left after a second
    /// one, which throws the switch `again`. A third ends the process at once, with code 130.
    ///
    /// # Errors
    /// One sentence, if the platform refuses the handler.
    pub fn on_ctrl_c_or(&self, again: &Stop) -> Result<(), String> {
        let (stop, again) = (self.clone(), again.clone());
        watch(move |signal| match (stop.is_asked(), again.is_asked()) {
            (false, _) => stop.ask(),
            (true, _) if signal == HANG_UP => {}
            (true, false) => again.ask(),
            (true, true) => std::process::exit(130),
        })
    }

    /// Has any of these signals end the process at once, with code 130: for work that leaves nothing
    /// behind.
    ///
    /// # Errors
    /// One sentence, if the platform refuses the handler.
    pub fn end_at_once() -> Result<(), String> {
        watch(|_| std::process::exit(130))
    }
}

/// Whether this process was started with SIGHUP ignored; false where the platform does not say.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

/// The signals that are told apart, as POSIX numbers them; elsewhere, too, Ctrl-C is the first.
const INTERRUPT: i32 = 2;
const HANG_UP: i32 = 1;

/// Has a thread watch for signals, for the rest of the process.
#[cfg(unix)]
fn watch(mut on: impl FnMut(i32) + Send + 'static) -> Result<(), String> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let wanted = [SIGINT, SIGTERM].into_iter().chain((!ignores_hangup()).then_some(SIGHUP));
    let watched = signal_hook::iterator::Signals::new(wanted).and_then(|mut signals| {
        let watch = move || signals.forever().for_each(&mut on);
        std::thread::Builder::new().name("signals".to_owned()).spawn(watch)
    });
    watched.map(drop).map_err(|error| format!("cannot watch for signals: {error}"))
}

/// Has a thread watch for Ctrl-C, for the rest of the process.
#[cfg(not(unix))]
fn watch(mut on: impl FnMut(i32) + Send + 'static) -> Result<(), String> {
    let watched = ctrlc::set_handler(move || on(INTERRUPT));
    watched.map_err(|error| format!("cannot watch for Ctrl-C: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiter_is_woken_once_from_any_thread() {
        let stop = Stop::new();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut asked = stop.asked();
        for _ in 0..3 {
            assert!(Pin::new(&mut asked).poll(&mut cx).is_pending());
        }
        let other = stop.clone();
        std::thread::spawn(move || other.ask()).join().expect("no panic");
        stop.ask();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(Pin::new(&mut asked).poll(&mut cx).is_ready());
        assert!(stop.is_asked());
    }

    #[test]
    fn a_waiter_that_is_dropped_is_forgotten() {
        let stop = Stop::new();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut asked = stop.asked();
        assert!(Pin::new(&mut asked).poll(&mut Context::from_waker(&waker)).is_pending());
        drop((asked, waker));
        assert_eq!(Arc::strong_count(&count), 1, "no waker is kept");
        stop.ask();
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }
}
