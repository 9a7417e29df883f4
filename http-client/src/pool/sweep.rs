//! The task that closes idle connections when their time is over.

use super::Pool;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// The shortest time between two looks at the idle connections.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

impl Pool {
    /// Sees to it that there is such a task, for as long as there are connections.
    #[inline]
    pub(crate) fn start_sweeping(self: &Rc<Self>) {
        if !self.sweeping.replace(true) {
            let task = sweep(Running(Rc::downgrade(self)));
            drop(mainspring::spawn_named("http: idle connections", task));
        }
    }
}

/// The pool that is swept. When it is dropped the task is over, however it ended.
struct Running(Weak<Pool>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.sweeping.set(false);
        }
    }
}

async fn sweep(running: Running) {
    loop {
        let now = Instant::now();
        let pause = match running.0.upgrade() {
            Some(pool) if !pool.is_empty() => match pool.sweep(now) {
                Some(next) => next.saturating_duration_since(now).max(SWEEP_PAUSE),
                None => pool.limits.idle_timeout.max(SWEEP_PAUSE),
            },
            _ => break,
        };
        mainspring::time::sleep(pause).await;
    }
}
