//! Tasks from spawn to end: states, results, cancels, callbacks, panics, shutdown.

use std::cell::Cell;

use std::rc::Rc;

use mainspring::Runtime;

#[test]
fn block_on_returns_the_output_and_can_be_called_again() {
    let mut runtime = Runtime::new();
    let ticks = Rc::new(Cell::new(0));
    let counting = ticks.clone();
    drop(runtime.spawn(async move {
        loop {
            counting.set(counting.get() + 1);
            mainspring::future::yield_now().await;
        }
    }));
    assert_eq!(runtime.block_on(async { 1 }), 1);
    let after_first = ticks.get();
    assert!(after_first > 0, "a task spawned before the loop runs in it");
    assert_eq!(runtime.block_on(async { 2 }), 2);
    assert!(ticks.get() > after_first, "tasks left over go on at the next block_on");
}
