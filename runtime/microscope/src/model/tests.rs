//! What every event does to the state, and the events that a state does not allow.

use super::*;
use crate::Texts;
use mainspring::observe::{
    CancelEffect, CancelOrigin, CauseKind, Direction, PollOutcome, WakeEffect,
};

/// Applies `(at, task, kind)` rows.
fn model(rows: &[(u64, u64, Kind)]) -> Model {
    let mut model = Model::new();
    for (at, task, kind) in rows {
        model.apply(&Event { at: *at, task: *task, kind: *kind });
    }
    model
}

const SPAWN: Kind = Kind::Spawned { parent: 0 };
const POLL: Kind = Kind::PollStarted { holders: 0 };

fn pending(holders: u32) -> Kind {
    Kind::PollEnded { outcome: PollOutcome::Pending, requeued: false, holders }
}

fn woken(effect: WakeEffect) -> Kind {
    Kind::Woken { effect, by: CauseKind::Timer, id: 1 }
}

#[test]
fn a_life_from_spawn_to_done() {
    let model = model(&[
        (0, 1, SPAWN),
        (10, 1, POLL),
        (30, 1, pending(1)),
        (50, 1, woken(WakeEffect::Scheduled)),
        (60, 1, POLL),
        (61, 1, Kind::PollEnded { outcome: PollOutcome::Ready, requeued: false, holders: 0 }),
        (61, 1, Kind::Done { panicked: false, beat_cancel: false }),
    ]);
    let task = model.task(1).unwrap();
    assert_eq!(task.state, State::Done { panicked: false, beat_cancel: false });
    assert_eq!((task.polls, task.busy, task.queued, task.longest_poll), (2, 21, 20, 20));
    assert_eq!((model.illegal, model.ready.len()), (vec![], 0));
}

#[test]
fn illegal_transitions_are_named() {
    let two_polls = model(&[(0, 1, SPAWN), (0, 1, POLL), (1, 1, POLL)]);
    let not_woken = model(&[(0, 1, SPAWN), (0, 1, POLL), (1, 1, pending(1)), (2, 1, POLL)]);
    let twice = model(&[(0, 1, SPAWN), (1, 1, woken(WakeEffect::Scheduled))]);
    let unknown = model(&[(1, 9, POLL)]);
    let timer = model(&[(1, 0, Kind::TimerFired { timer: 4, late: 0 })]);
    let what = |model: &Model| model.illegal.iter().map(|i| i.what.clone()).collect::<Vec<_>>();
    assert_eq!(
        what(&two_polls),
        [
            "task 1 was polled inside another poll when told poll_started",
            "task 1 was running when told poll_started"
        ]
    );
    assert_eq!(what(&not_woken), ["task 1 was idle when told poll_started"]);
    assert_eq!(what(&twice), ["task 1 was scheduled when told woken"]);
    assert_eq!(what(&unknown), ["task 9 was unknown when told poll_started"]);
    assert_eq!(
        what(&timer),
        ["task 0 was told of a timer that is not armed when told timer_fired"]
    );
}

#[test]
fn why_gives_one_verdict_with_its_evidence() {
    let mut model = model(&[
        (0, 1, SPAWN),                                                          // 0
        (0, 2, SPAWN),                                                          // 1
        (0, 3, SPAWN),                                                          // 2
        (5, 1, POLL),                                                           // 3
        (6, 1, Kind::TimerArmed { timer: 4, deadline: 18_000_006 }),            // 4
        (6, 1, Kind::WaitsForSource { direction: Direction::Read, source: 5 }), // 5
        (6, 1, Kind::WaitsForTask { on: 3 }),                                   // 6
        (6, 1, pending(3)),                                                     // 7
        (7, 2, POLL),                                                           // 8
    ]);
    let say = |model: &Model, id| {
        let answer = model.why(id);
        (answer.why.to_string(), answer.evidence)
    };
    // Source 5 was never registered: nothing can be waited for there.
    // What it really waits for comes first, and one of its three wakers is held by nothing that is told.
    let waits = "waiting for task 3 or 1 waker held outside of the loop or timer #4 due in 18 ms";
    assert_eq!(say(&model, 1), (waits.into(), vec![7, 6, 4]));
    assert_eq!(say(&model, 2), ("running since 7 ns".into(), vec![8]));
    assert_eq!(say(&model, 3), ("queued, next in line, since 0 ns".into(), vec![2]));
    assert_eq!(say(&model, 7), ("unknown".into(), vec![]));
    let more =
        [(9, 2, pending(0)), (9, 3, Kind::CancelRequested { effect: CancelEffect::Queued, by: 2 })];
    for (at, task, kind) in more {
        model.apply(&Event { at, task, kind });
    }
    assert_eq!(say(&model, 2), ("stuck for ever: no waker of it is left".into(), vec![9]));
    assert_eq!(
        say(&model, 3),
        ("queued to be cancelled, next in line, since 0 ns".into(), vec![2, 10])
    );
    assert_eq!(
        model.why_alive(),
        [
            "1 task ready to run",
            "1 timer armed, the next is timer #4 due in 18 ms",
            &format!("task 1 is {waits}"),
            "task 2 is stuck for ever: no waker of it is left",
        ]
    );
    let kind = Kind::Cancelled { origin: CancelOrigin::Handle, by: 2 };
    model.apply(&Event { at: 10, task: 3, kind });
    assert_eq!(say(&model, 3), ("finished: cancelled".into(), vec![11]));
    for kind in [SPAWN, POLL, pending(2)] {
        model.apply(&Event { at: 11, task: 4, kind });
    }
    assert_eq!(say(&model, 4), ("waiting for 2 wakers held outside of the loop".into(), vec![14]));
    assert_eq!(model.illegal, []);
}

/// A task that polls once: these are told in the poll, and so many wakers are held at its end.
fn one_poll(model: &mut Model, task: u64, told: &[Kind], holders: u32) {
    if model.task(task).is_some_and(|task| task.state == State::Idle) {
        model.apply(&Event { at: model.now, task, kind: woken(WakeEffect::Scheduled) });
    }
    let around = [POLL].into_iter().chain(told.iter().copied()).chain([pending(holders)]);
    for kind in around {
        model.apply(&Event { at: model.now, task, kind });
    }
}

fn say(model: &Model, task: u64) -> String {
    model.why(task).why.to_string()
}

fn stream(source: u32) -> Kind {
    let source_kind = mainspring::observe::SourceKind::Stream;
    Kind::SourceRegistered { source_kind, source, fd: 9 }
}

const READS: Kind = Kind::WaitsForSource { direction: Direction::Read, source: 5 };
const WRITES: Kind = Kind::WaitsForSource { direction: Direction::Write, source: 5 };

/// Every beginning of a wait by every end that it can have: after the one it stands, after the other not.
#[test]
fn every_wait_lasts_from_its_beginning_to_its_end_whatever_is_polled_meanwhile() {
    let reads = Kind::SourceWaitDropped { direction: Direction::Read, source: 5 };
    let ready = Kind::SourceReady { readable: true, writable: false, source: 5 };
    let done = Kind::Done { panicked: false, beat_cancel: false };
    let cancelled = Kind::Cancelled { origin: CancelOrigin::Handle, by: 0 };
    let waits_for_two = Kind::WaitsForTask { on: 2 };
    let armed = Kind::TimerArmed { timer: 4, deadline: 9 };
    let task = "waiting for task 2";
    let source = "waiting for source 5 to become readable";
    let timer = "waiting for timer #4 due in 9 ns";
    let job = "waiting for blocking job 6";
    let cases: [(Kind, &str, u64, Kind); 13] = [
        (waits_for_two, task, 2, done),
        (waits_for_two, task, 2, cancelled),
        (waits_for_two, task, 2, Kind::Detached),
        (waits_for_two, task, 0, Kind::TaskWaitDropped { on: 2 }),
        (waits_for_two, task, 3, waits_for_two),
        (READS, source, 0, ready),
        (READS, source, 1, reads),
        (READS, source, 0, Kind::SourceClosed { source: 5 }),
        (armed, timer, 0, Kind::TimerFired { timer: 4, late: 0 }),
        (armed, timer, 0, Kind::TimerDropped { timer: 4 }),
        (armed, timer, 3, Kind::WaitsForTimer { timer: 4 }),
        (Kind::JobQueued { job: 6 }, job, 0, Kind::JobEnded { job: 6, ran: 1 }),
        (Kind::JobQueued { job: 6 }, job, 3, Kind::WaitsForBlocking { job: 6 }),
    ];
    for (begins, said, of, ends) in cases {
        let mut model = model(&[(0, 1, SPAWN), (0, 2, SPAWN), (0, 3, SPAWN), (0, 0, stream(5))]);
        one_poll(&mut model, 1, &[begins], 1);
        assert_eq!(say(&model, 1), said);
        // The other arm of a select is polled alone, again and again: this one may still come.
        for _ in 0..3 {
            one_poll(&mut model, 1, &[], 1);
        }
        assert_eq!(say(&model, 1), said, "{begins:?}");
        model.apply(&Event { at: 0, task: of, kind: ends });
        assert_eq!(model.task(1).unwrap().waits.len(), 0, "{begins:?} ended by {ends:?}");
        assert_eq!(say(&model, 1), "waiting for 1 waker held outside of the loop");
        // And a task that ends waits for nothing, on neither side.
        let mut model = model.clone();
        one_poll(&mut model, 1, &[begins], 1);
        model.apply(&Event { at: 0, task: 1, kind: cancelled });
        assert_eq!(model.task(1).unwrap().waits.len(), 0);
        assert!(model.tasks.values().all(|task| task.joiner != 1));
        assert!(model.sources.values().all(|source| source.readers.is_empty()));
        assert!(model.timers.values().all(|timer| timer.task != 1));
        assert!(model.jobs.values().all(|job| job.task != 1));
    }
}

#[test]
fn why_lists_all_that_can_wake_a_task_and_cuts_long_lists_with_a_count() {
    let mut model = Model::new();
    for task in 1..=110 {
        model.apply(&Event { at: 0, task, kind: SPAWN });
    }
    model.apply(&Event { at: 0, task: 0, kind: stream(5) });
    // Three timers of one task, as in a `FuturesUnordered` of sleeps, of which one is polled anew.
    let timers = [7, 8, 9].map(|timer| Kind::TimerArmed { timer, deadline: timer.into() });
    one_poll(&mut model, 1, &timers, 1);
    one_poll(&mut model, 1, &[Kind::TimerDropped { timer: 9 }, timers[2]], 1);
    assert_eq!(
        say(&model, 1),
        "waiting for timer #7 due in 7 ns or timer #8 due in 8 ns or timer #9 due in 9 ns"
    );
    // A time limit is named after what it limits.
    let limit = Kind::TimerArmed { timer: 10, deadline: 60_000_000_000 };
    one_poll(&mut model, 2, &[limit, READS], 2);
    assert_eq!(say(&model, 2), "waiting for source 5 to become readable or timer #10 due in 60 s");
    let all: Vec<Kind> = (11..=110).map(|on| Kind::WaitsForTask { on }).collect();
    one_poll(&mut model, 3, &all, 100);
    assert_eq!(say(&model, 3), "waiting for task 11, 12 and 98 more");
    assert!(matches!(model.why(3).why, Why::Waiting(reasons) if reasons.len() == 100));
    one_poll(&mut model, 3, &[], 100);
    assert_eq!(say(&model, 3), "waiting for task 11, 12 and 98 more");
    // Two futures of one task that read and one that writes; one of the readers is dropped.
    one_poll(&mut model, 4, &[READS, READS, WRITES], 3);
    let both = "waiting for source 5 to become readable or source 5 to become writable";
    let dropped = Kind::SourceWaitDropped { direction: Direction::Read, source: 5 };
    assert_eq!(say(&model, 4), both);
    one_poll(&mut model, 4, &[dropped], 2);
    assert_eq!(say(&model, 4), both);
    one_poll(&mut model, 4, &[dropped], 1);
    assert_eq!(say(&model, 4), "waiting for source 5 to become writable");
    assert_eq!(model.illegal, []);
}

#[test]
fn a_chain_of_waits_is_followed_to_its_end() {
    let mut texts = Texts::default();
    let name = |name: &str| crate::TaskText { name: Some(name.into()), ..Default::default() };
    texts.tasks.insert(6, name("holder"));
    let label = crate::LabelText { text: "lock the counter".into(), ..Default::default() };
    texts.labels.insert(1, label);
    let spawn_all = |tasks| {
        let mut model = Model::new();
        for task in 1..=tasks {
            model.apply(&Event { at: 0, task, kind: SPAWN });
        }
        model
    };
    let mut model = spawn_all(20);
    let sleeps = Kind::TimerArmed { timer: 4, deadline: 132_000_000 };
    one_poll(&mut model, 6, &[sleeps], 1);
    one_poll(&mut model, 8, &[Kind::WaitsForTask { on: 6 }], 1);
    let words = |model: &Model, id| model.why_in_words(id, &texts);
    assert_eq!(
        words(&model, 8),
        "waiting for task 6 \"holder\", which sleeps until 132 ms (timer #4)"
    );
    let limit = Kind::TimerArmed { timer: 5, deadline: 60_000_000_000 };
    one_poll(&mut model, 9, &[limit, Kind::WaitsForTask { on: 8 }], 2);
    assert_eq!(
        words(&model, 9),
        "waiting for task 8, which waits for task 6 \"holder\", which sleeps until 132 ms (timer #4), \
         or timer #5 due in 60 s"
    );
    // What a lock of another crate does is unknown; the label says where it is waited for.
    let span = Kind::SpanOpened { span: 1, parent: 0, label: 1 };
    one_poll(&mut model, 10, &[span], 1);
    assert_eq!(
        words(&model, 10),
        "waiting for 1 waker held outside of the loop, inside `lock the counter`"
    );
    assert_eq!(model.waits_briefly(10, &texts), "lock the counter");
    one_poll(&mut model, 11, &[Kind::WaitsForTask { on: 10 }], 1);
    assert!(words(&model, 11).starts_with("waiting for task 10, which waits for 1 waker held"));
    // A long chain is cut in its middle, and one that closes is called what it is.
    let mut model = spawn_all(20);
    for task in 1..20 {
        one_poll(&mut model, task, &[Kind::WaitsForTask { on: task + 1 }], 1);
    }
    assert_eq!(model.waits_through(1), (2..=20).collect::<Vec<_>>());
    assert_eq!(
        words(&model, 1),
        "waiting for task 2, which waits for task 3, which waits for task 4, which waits for task 5, and \
         so on through 14 other tasks to task 20, which is queued"
    );
    one_poll(&mut model, 20, &[Kind::WaitsForTask { on: 1 }], 1);
    assert!(words(&model, 1).ends_with("task 5: they wait for each other"), "{}", words(&model, 1));
    assert!(words(&model, 20).ends_with(": they wait for each other"));
}

/// A task that joins others one after another, whose waits were held until it ended.
#[test]
fn a_model_holds_what_is_waited_for_and_nothing_more() {
    for joins in [300_u64, 30_000] {
        let mut model = model(&[(0, 1, SPAWN), (0, 1, POLL)]);
        let (mut most, mut looked_at) = (0, 0);
        for id in 2..2 + joins {
            let child =
                [(id, SPAWN), (1, Kind::WaitsForTask { on: id }), (1, pending(1)), (id, POLL)];
            let over = Kind::PollEnded { outcome: PollOutcome::Ready, requeued: false, holders: 0 };
            let ends = [
                (id, over),
                (id, Kind::Done { panicked: false, beat_cancel: false }),
                (1, Kind::Woken { effect: WakeEffect::Scheduled, by: CauseKind::Join, id }),
                (1, POLL),
                (id, Kind::OutputTaken),
            ];
            for (task, kind) in child.into_iter().chain(ends) {
                model.apply(&Event { at: 0, task, kind });
                let waits = &model.task(1).unwrap().waits;
                most = most.max(waits.len());
                looked_at += waits.len();
            }
            if id % 1000 == 0 {
                model.forget_ended(10);
            }
        }
        // At most one wait, which stands for five of the nine events of a join.
        assert_eq!((most, looked_at as u64), (1, 4 * joins));
        assert_eq!(model.illegal, []);
    }
}

#[test]
fn a_snapshot_survives_the_way_out_and_back() {
    let mut model = model(&[
        (0, 1, SPAWN),
        (5, 1, POLL),
        (6, 1, Kind::TimerArmed { timer: 4, deadline: u64::MAX }),
        (6, 1, Kind::WaitsForTask { on: 3 }),
        (6, 1, pending(1)),
        (7, 0, Kind::Parked { timeout: u64::MAX }),
        (8, 9, POLL),
    ]);
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Model>(&text).unwrap(), model);
    model.forget_ended(0);
    assert_eq!(model.forgotten, 0);
}

#[test]
fn ended_tasks_can_be_forgotten_and_named_afterwards() {
    let mut rows = Vec::new();
    for id in 1..=5 {
        rows.push((id, id, SPAWN));
        rows.push((id, id, Kind::Cancelled { origin: CancelOrigin::Shutdown, by: 0 }));
    }
    let mut model = model(&rows);
    model.forget_ended(2);
    assert_eq!(model.tasks_in_order().iter().map(|t| t.id).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(model.forgotten, 3);
    model.apply(&Event { at: 9, task: 1, kind: woken(WakeEffect::Stale) });
    assert_eq!(model.illegal, []);
}
