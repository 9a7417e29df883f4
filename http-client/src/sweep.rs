//! The task that closes idle connections when their time is over.

use crate::pool::Pool;
use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// The shortest time between two looks at the idle connections.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// Whether the task of a pool runs.
#[derive(Default)]
pub(crate) struct Sweeper(Rc<Cell<bool>>);

impl Sweeper {
    /// Sees to it that there is a task, for as long as there are connections.
    #[inline]
    pub(crate) fn start(&self, pool: &Rc<Pool>) {
        if !self.0.replace(true) {
            let task = sweep(Rc::downgrade(pool), Running(self.0.clone()));
            drop(mainspring::spawn_named("http: idle connections", task));
        }
    }
}

/// Says that no task sweeps any more, however it ended.
struct Running(Rc<Cell<bool>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

async fn sweep(pool: Weak<Pool>, running: Running) {
    loop {
        let now = Instant::now();
        let pause = match pool.upgrade() {
            Some(pool) if !pool.is_empty() => match pool.sweep(now) {
                Some(next) => next.saturating_duration_since(now).max(SWEEP_PAUSE),
                None => pool.idle_timeout().max(SWEEP_PAUSE),
            },
            _ => break,
        };
        mainspring::time::sleep(pause).await;
    }
    drop(running);
}
