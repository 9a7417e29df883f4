//! The loop that `examples/zero` builds writes traces in the documented format, and the microscope reads
//! them: nothing in them is impossible, and what is wrong in the program is found.

use std::future::pending;
use std::panic::resume_unwind;
use std::time::Duration;

use mainspring::observe::CauseKind;
use mainspring_microscope::Trace;
use mainspring_microscope::findings::Code;
use zero::traced::{block_on, sleep, spawn, spawn_blocking, trace, yield_now};

fn read(trace: &str) -> Trace {
    let trace = Trace::from_json(trace).expect("the documented format");
    assert_eq!(trace.model().illegal, []);
    trace
}

#[test]
fn the_trace_of_a_loop_from_nothing_is_read() {
    let mut line = 0;
    let trace = read(&block_on(async {
        line = line!() + 1;
        let value = spawn(async { yield_now().await });
        let panics = spawn(async { resume_unwind(Box::new("oh")) });
        let sleeper = spawn(sleep(Duration::from_millis(1)));
        let cancelled = spawn(sleep(Duration::from_secs(3600)));
        value.await.unwrap();
        assert!(panics.await.map(|(): ()| ()).is_err());
        sleeper.await.unwrap();
        spawn_blocking(|| ()).await.unwrap();
        cancelled.cancel();
        assert!(cancelled.await.is_err());
        trace()
    }));
    let model = trace.model();
    let words: Vec<_> = model.tasks_in_order().iter().map(|task| task.state.word()).collect();
    assert_eq!(words, ["running", "done", "panicked", "done", "cancelled"]);
    let parents: Vec<_> = model.tasks_in_order().iter().map(|task| task.parent).collect();
    assert_eq!(parents, [0, 1, 1, 1, 1]);
    let place = &trace.texts.tasks[&2];
    assert_eq!((&*place.place.file, place.place.line), (file!(), line));
    assert!(model.totals.parked >= 1_000_000, "it slept for a millisecond");
    // The sleeper was woken by its timer, the cancelled one by main.
    let by = |id| model.task(id).unwrap().woken.map(|wake| wake.by);
    assert_eq!(by(4), Some(CauseKind::Timer));
    assert_eq!(by(5), Some(CauseKind::Task));
}

#[test]
fn a_lost_waker_is_found_in_it() {
    let trace = read(&block_on(async {
        let lost = spawn(pending::<()>());
        yield_now().await;
        yield_now().await;
        drop(lost);
        trace()
    }));
    let lost = trace.findings().into_iter().any(|finding| finding.code == Code::LostWaker);
    assert!(lost, "{:?}", trace.findings());
}
