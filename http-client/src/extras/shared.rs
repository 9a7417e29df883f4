//! A value that many tasks wait for, and a task of its own finds: it goes on when the one that asked
//! first gives up.

use futures_util::future::{self, FutureExt, LocalBoxFuture};
use std::future::Future;

/// The value, once it has been found.
pub(crate) type Shared<T> = future::Shared<LocalBoxFuture<'static, T>>;

/// Starts a task that finds the value. If it ends without one, by a panic or with the runtime, the
/// value is `lost`.
pub(crate) fn find<T: Clone + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + 'static,
    lost: T,
) -> Shared<T> {
    let task = mainspring::spawn_named(name, work);
    task.map(|found| found.unwrap_or(lost)).boxed_local().shared()
}

/// The value, if it has been found.
pub(crate) fn get<T: Clone>(shared: &Shared<T>) -> Option<T> {
    shared.clone().now_or_never()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_wait_get_it_and_a_task_that_fails_loses_it() {
        mainspring::run(async {
            let shared = find("test", async { 7 }, 0);
            assert_eq!(get(&shared), None);
            let other = shared.clone();
            let waiting = mainspring::spawn(other);
            assert_eq!((shared.clone().await, waiting.await.unwrap()), (7, 7));
            assert_eq!(get(&shared), Some(7));

            let lost = find("test", async { panic!("on purpose") }, 9);
            assert_eq!(lost.await, 9);

            // Also when no task has waited for it any more.
            let given_up = find("test", async { 8 }, 0);
            mainspring::future::yield_now().await;
            assert_eq!(get(&given_up), Some(8));
        });
    }
}
