//! What every event does to the state, and the events that a state does not allow.

use super::*;
use mainspring::observe::{CancelOrigin, Direction};

/// Applies `(at, task, kind)` rows.
fn model(rows: &[(u64, u64, Kind)]) -> Model {
    let mut model = Model::new();
    for (at, task, kind) in rows {
        model.apply(&Event { at: *at, task: *task, kind: *kind });
    }
    model
}

const SPAWN: Kind = Kind::Spawned { parent: 0 };
const POLL: Kind = Kind::PollStarted;

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
    assert_eq!(
        say(&model, 1),
        ("waiting for timer #4 due in 18 ms or task 3".into(), vec![7, 4, 6])
    );
    assert_eq!(say(&model, 2), ("running since 7 ns".into(), vec![8]));
    assert_eq!(say(&model, 3), ("queued, next in line, since 0 ns".into(), vec![2]));
    assert_eq!(say(&model, 7), ("unknown".into(), vec![]));
    let more =
        [(9, 2, pending(0)), (9, 3, Kind::CancelRequested { effect: CancelEffect::Queued, by: 2 })];
    for (at, task, kind) in more {
        model.apply(&Event { at, task, kind });
    }
    assert_eq!(say(&model, 2), ("stuck for ever: nobody holds its waker".into(), vec![9]));
    assert_eq!(
        say(&model, 3),
        ("queued to be cancelled, next in line, since 0 ns".into(), vec![2, 10])
    );
    assert_eq!(
        model.why_alive(),
        [
            "1 task ready to run",
            "1 timer armed, the next is timer #4 due in 18 ms",
            "task 1 is waiting for timer #4 due in 18 ms or task 3",
            "task 2 is stuck for ever: nobody holds its waker",
        ]
    );
    let kind = Kind::Cancelled { origin: CancelOrigin::Handle, by: 2 };
    model.apply(&Event { at: 10, task: 3, kind });
    assert_eq!(say(&model, 3), ("finished: cancelled".into(), vec![11]));
    for kind in [SPAWN, POLL, pending(2)] {
        model.apply(&Event { at: 11, task: 4, kind });
    }
    assert_eq!(
        say(&model, 4),
        ("waiting for whoever holds its 2 wakers: a thread or another future".into(), vec![14])
    );
    assert_eq!(model.illegal, []);
}

#[test]
fn a_wait_that_was_not_renewed_counts_only_where_none_was() {
    let source = Kind::SourceRegistered {
        source_kind: mainspring::observe::SourceKind::Stream,
        source: 5,
        fd: 9,
    };
    let waits = Kind::WaitsForSource { direction: Direction::Read, source: 5 };
    let mut model = model(&[
        (0, 1, SPAWN),
        (0, 2, SPAWN),
        (0, 1, POLL),
        (0, 1, source),
        (0, 1, waits),
        (0, 1, pending(1)),
        (1, 1, woken(WakeEffect::Scheduled)),
        (2, 1, POLL),
        (2, 1, pending(1)),
    ]);
    assert_eq!(model.why(1).why.to_string(), "waiting for source 5 to become readable");
    for kind in [woken(WakeEffect::Scheduled), POLL, Kind::WaitsForTask { on: 2 }, pending(1)] {
        model.apply(&Event { at: 3, task: 1, kind });
    }
    assert_eq!(model.why(1).why.to_string(), "waiting for task 2");
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
