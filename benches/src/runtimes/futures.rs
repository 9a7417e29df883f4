//! futures: `LocalPool`, an executor alone; it has neither timers nor I/O.

use super::Spawns;
use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt;
use std::cell::RefCell;
use std::future::Future;

thread_local! {
    static SPAWNER: RefCell<Option<LocalSpawner>> = const { RefCell::new(None) };
}

/// The adaptor.
#[derive(Debug)]
pub struct Runtime;

/// Its name in the table.
pub const NAME: &str = "futures";

impl Spawns for Runtime {
    fn run<F: Future + 'static>(main: F) -> F::Output
    where
        F::Output: 'static,
    {
        let mut pool = LocalPool::new();
        SPAWNER.set(Some(pool.spawner()));
        pool.run_until(main)
    }

    #[inline(always)]
    fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F::Output: 'static,
    {
        SPAWNER
            .with_borrow(|spawner| spawner.as_ref().unwrap().spawn_local_with_handle(future))
            .unwrap()
    }

    fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
        SPAWNER.with_borrow(|spawner| spawner.as_ref().unwrap().spawn_local(future)).unwrap();
    }
}
