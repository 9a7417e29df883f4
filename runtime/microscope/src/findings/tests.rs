//! Every predicate, on traces made for it.

use super::*;
use crate::{Model, Place, TaskText, Texts};
use mainspring::observe::{
    CancelOrigin, CauseKind, Detail, Direction, Event, Kind, LoopExit, PollOutcome, SourceKind,
    TryOutcome, WakeEffect,
};

const MS: u64 = 1_000_000;
const SPAWN: Kind = Kind::Spawned { parent: 0 };
const POLL: Kind = Kind::PollStarted { holders: 0 };
const DONE: Kind = Kind::Done { panicked: false, beat_cancel: false };
const READY: Kind = Kind::PollEnded { outcome: PollOutcome::Ready, requeued: false, holders: 0 };

fn pending(holders: u32) -> Kind {
    Kind::PollEnded { outcome: PollOutcome::Pending, requeued: false, holders }
}

fn woken(by: CauseKind, id: u64) -> Kind {
    Kind::Woken { effect: WakeEffect::Scheduled, by, id }
}

/// Codes and evidence of what is found in `(at, task, kind)` rows.
fn found(rows: &[(u64, u64, Kind)]) -> Vec<(&'static str, Vec<u64>)> {
    found_at(Detail::Full, rows)
}

fn found_at(detail: Detail, rows: &[(u64, u64, Kind)]) -> Vec<(&'static str, Vec<u64>)> {
    let event = |(at, task, kind): &(u64, u64, Kind)| Event { at: *at, task: *task, kind: *kind };
    let events = rows.iter().map(event).collect();
    let trace = Trace { detail, ..Trace::new(Model::new(), events, Texts::default(), 0) };
    let limits = Limits { storm: 3, ..Limits::default() };
    find(&trace, &limits).into_iter().map(|f| (f.code.word(), f.evidence)).collect()
}

#[test]
fn a_healthy_life_has_no_findings() {
    let armed = Kind::TimerArmed { timer: 1, deadline: 8 };
    let fired = Kind::TimerFired { timer: 1, late: 5 * MS };
    let rows = [
        (0, 1, SPAWN),
        (0, 1, POLL),
        (1, 1, armed),
        (10 * MS, 1, pending(1)),
        (10 * MS, 1, fired),
        (10 * MS, 1, woken(CauseKind::Timer, 1)),
        (11 * MS, 1, POLL),
        (12 * MS, 1, READY),
        (12 * MS, 1, DONE),
        (12 * MS, 0, Kind::LoopLeft { why: LoopExit::MainDone }),
    ];
    assert_eq!(found(&rows), []);
}

#[test]
fn slow_polls_and_late_timers_begin_beyond_their_limits() {
    let rows = [
        (0, 1, SPAWN),
        (0, 1, POLL),
        (1, 1, Kind::TimerArmed { timer: 1, deadline: 8 }),
        (10 * MS + 1, 1, pending(1)),
        (10 * MS + 1, 1, Kind::TimerFired { timer: 1, late: 5 * MS + 1 }),
    ];
    assert_eq!(found(&rows), [("slow-poll", vec![1, 3]), ("late-timer", vec![4])]);
}

#[test]
fn a_turn_is_slow_by_polls_of_which_none_is() {
    let turn = |last: u64| {
        let mut rows = vec![(0, 0, Kind::TurnStarted { ready: 0, turn: 1 })];
        for (id, took) in [10, 10, 10, 10, 10, last].into_iter().enumerate() {
            let (id, at) = (id as u64 + 1, 10 * MS * id as u64);
            rows.extend([(at, id, SPAWN), (at, id, POLL), (at + took * MS, id, READY)]);
            rows.push((at + took * MS, id, DONE));
        }
        rows.push((51 * MS, 0, Kind::TurnEnded));
        rows
    };
    assert_eq!(found(&turn(0)), []);
    assert_eq!(found(&turn(1)), [("slow-turn", vec![0, 25])]);
    // Of a turn with a slow poll, that poll is what there is to say.
    assert_eq!(found(&turn(11)), [("slow-poll", vec![22, 23])]);
}

#[test]
fn a_task_starves_in_the_ready_queue_beyond_the_limit() {
    let first_poll = |at| [(0, 1, SPAWN), (at, 1, POLL), (at, 1, READY), (at, 1, DONE)];
    assert_eq!(found(&first_poll(50 * MS)), []);
    assert_eq!(found(&first_poll(50 * MS + 1)), [("starvation", vec![1, 0])]);
}

#[test]
fn a_panic_that_was_never_looked_at_is_one_that_the_runtime_had_to_report() {
    let panicked = Kind::PollEnded { outcome: PollOutcome::Panicked, requeued: false, holders: 0 };
    let done = Kind::Done { panicked: true, beat_cancel: false };
    let rows = [(0, 1, SPAWN), (0, 1, POLL), (0, 1, panicked), (0, 1, done)];
    assert_eq!(found(&[&rows[..], &[(1, 1, Kind::OutputTaken)]].concat()), []);
    assert_eq!(
        found(&[&rows[..], &[(1, 1, Kind::PanicUnseen)]].concat()),
        [("never-retrieved", vec![3, 4])]
    );
}

#[test]
fn polls_are_spurious_when_something_else_woke_the_task_and_nothing_came_of_it() {
    let waits = Kind::WaitsForTask { on: 9 };
    let woken_for = |times, then: Kind| {
        let mut rows = vec![(0, 1, SPAWN), (0, 1, POLL), (0, 1, waits), (0, 1, pending(1))];
        for _ in 0..times {
            rows.extend([(0, 1, woken(CauseKind::Thread, 1)), (0, 1, POLL), (0, 1, then)]);
            rows.push((0, 1, pending(1)));
        }
        rows
    };
    assert_eq!(found(&woken_for(20, waits)), []);
    let ends = (0..MAX_EVIDENCE as u64).map(|n| 7 + 4 * n).collect();
    assert_eq!(found(&woken_for(21, waits)), [("spurious-polls", ends)]);
    // A mark is something: the poll was good for it.
    assert_eq!(found(&woken_for(21, Kind::Marked { label: 1 })), []);
    assert_eq!(found_at(Detail::Basic, &woken_for(21, waits)), []);
}

#[test]
fn a_future_is_set_aside_if_its_task_was_polled_without_it() {
    let opened = Kind::SpanOpened { span: 1, parent: 0, label: 0 };
    let closed = Kind::SpanClosed { span: 1, completed: false, polls: 1 };
    let life = |polls_without_it| {
        let mut rows = vec![(0, 1, SPAWN), (0, 1, POLL), (0, 1, opened)];
        for _ in 0..polls_without_it {
            rows.extend([(0, 1, pending(1)), (1, 1, woken(CauseKind::Timer, 1)), (1, 1, POLL)]);
            rows.push((1, 1, Kind::Marked { label: 1 }));
        }
        rows.push((1, 1, closed));
        rows
    };
    // Who loses a race is dropped in a poll that may not have asked it again.
    assert_eq!(found(&life(1)), []);
    assert_eq!(found(&life(2)), [("set-aside", vec![11, 2])]);
}

#[test]
fn work_piles_up_when_at_each_eighth_more_is_alive_and_some_of_it_ends() {
    let spawns = |count: u64, ending: u64| {
        let mut rows = Vec::new();
        for id in 1..=count {
            rows.push((0, id, SPAWN));
            if id % 4 < ending {
                rows.extend([(0, id, POLL), (0, id, READY), (0, id, DONE)]);
            }
        }
        rows
    };
    assert_eq!(found(&spawns(340, 1)), []);
    let rows = spawns(344, 1);
    assert_eq!(found(&rows), [("unbounded-growth", vec![rows.len() as u64 - 1])]);
    // Where all of it ends, or none, nothing piles up: the latter is what a program is made of.
    assert_eq!(found(&spawns(800, 4)), []);
    assert_eq!(found(&spawns(800, 0)), []);
}

#[test]
fn a_lost_waker_is_one_that_is_not_held_unless_the_program_cancels_the_task() {
    let lost = [(0, 1, SPAWN), (0, 1, POLL), (1, 1, pending(0))];
    assert_eq!(found(&lost), [("lost-waker", vec![2])]);
    let by_program = (2, 1, Kind::Cancelled { origin: CancelOrigin::Handle, by: 2 });
    assert_eq!(found(&[&lost[..], &[by_program]].concat()), []);
    let by_shutdown = (2, 1, Kind::Cancelled { origin: CancelOrigin::Shutdown, by: 0 });
    assert_eq!(found(&[&lost[..], &[by_shutdown]].concat()), [("lost-waker", vec![2])]);
    let stalled = (2, 0, Kind::LoopLeft { why: LoopExit::Stalled });
    assert_eq!(
        found(&[&lost[..], &[stalled]].concat()),
        [("stalled", vec![3, 2]), ("lost-waker", vec![2])]
    );
}

#[test]
fn a_storm_is_a_task_that_wakes_itself_again_and_again() {
    let itself = Kind::Woken { effect: WakeEffect::Deferred, by: CauseKind::Task, id: 1 };
    let again = Kind::PollEnded { outcome: PollOutcome::Pending, requeued: true, holders: 0 };
    let round = [(0, 1, POLL), (0, 1, itself), (0, 1, again)];
    let storm = [&[(0, 1, SPAWN)][..], &round, &round, &round].concat();
    assert_eq!(found(&storm[..9]), []);
    assert_eq!(found(&storm), [("self-wake-storm", vec![2, 9])]);
    // Where it is not told what woke it, nothing is found.
    assert_eq!(found_at(Detail::Basic, &storm), []);
    // It counts what there was: to its end, and from the next one on anew.
    let calm = [(0, 1, POLL), (0, 1, pending(1)), (0, 1, woken(CauseKind::Timer, 1))];
    let storms = [&storm[..], &round, &round, &calm, &round, &round, &round].concat();
    let said: Vec<_> = findings(&storms).into_iter().map(|f| (f.what, f.count)).collect();
    let what = "task 1 woke itself for 5 polls in a row, the worst of 2 from task 1";
    assert_eq!(said, [(what.into(), 2)]);
}

fn findings(rows: &[(u64, u64, Kind)]) -> Vec<Finding> {
    let event = |(at, task, kind): &(u64, u64, Kind)| Event { at: *at, task: *task, kind: *kind };
    let events = rows.iter().map(event).collect();
    let trace = Trace::new(Model::new(), events, Texts::default(), 0);
    find(&trace, &Limits { storm: 3, ..Limits::default() })
}

#[test]
fn many_findings_with_one_cause_are_one_with_a_count() {
    let mut texts = Texts::default();
    let mut events = Vec::new();
    for id in 1..=30 {
        let file = if id == 30 { "other.rs" } else { "fetch.rs" };
        let place = Place { file: file.into(), line: 4, column: 5 };
        let text = TaskText { place, ..TaskText::default() };
        texts.tasks.insert(id, text);
        let at = id * 1000 * MS;
        for (at, kind) in [(at, SPAWN), (at, POLL), (at + (20 + id) * MS, pending(1))] {
            events.push(Event { at, task: id, kind });
        }
    }
    let trace = Trace::new(Model::new(), events, texts, 0);
    let said: Vec<_> = trace.findings().into_iter().map(|f| (f.what, f.count)).collect();
    let worst = "poll 1 of task 29 took 49 ms, the worst of 29 from fetch.rs:4:5";
    assert_eq!(said, [("poll 1 of task 30 took 50 ms".into(), 1), (worst.into(), 29)]);
    assert_eq!(trace.findings()[1].evidence.len(), MAX_EVIDENCE);
}

#[test]
fn a_pause_of_the_recorder_makes_no_poll_slow_and_no_timer_late() {
    let armed = Kind::TimerArmed { timer: 1, deadline: 20 * MS };
    let rows = |took| {
        [
            (0, 1, SPAWN),
            (0, 1, POLL),
            (0, 1, armed),
            (50 * MS, 0, Kind::ObserverPaused { took }),
            (50 * MS, 1, pending(1)),
            (51 * MS, 1, Kind::TimerFired { timer: 1, late: 31 * MS }),
        ]
    };
    assert_eq!(found(&rows(49 * MS)), []);
    let codes: Vec<_> = found(&rows(1)).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["slow-poll", "late-timer"]);
}

#[test]
fn an_edge_is_undrained_only_if_silence_follows() {
    let kind = Kind::SourceRegistered { source_kind: SourceKind::Foreign, source: 5, fd: 9 };
    let ready = Kind::SourceReady { readable: true, writable: false, source: 5 };
    let tried =
        |outcome| Kind::SourceTried { direction: Direction::Read, outcome, source: 5, bytes: 10 };
    let waits = Kind::WaitsForSource { direction: Direction::Read, source: 5 };
    let rows = |outcome| {
        [
            (0, 1, SPAWN),
            (0, 1, POLL),
            (0, 1, kind),
            (0, 0, ready),
            (0, 1, tried(outcome)),
            (0, 1, waits),
            (0, 1, pending(1)),
        ]
    };
    assert_eq!(found(&rows(TryOutcome::Done)), [("undrained", vec![5, 4, 3])]);
    assert_eq!(found(&rows(TryOutcome::WouldBlock)), []);
    let more = (1, 0, ready);
    assert_eq!(found(&[&rows(TryOutcome::Done)[..], &[more]].concat()), []);
    // The poll that left bytes is the one to look at, however often the task is polled afterwards.
    let later =
        [(1, 1, woken(CauseKind::Timer, 1)), (1, 1, POLL), (1, 1, waits), (1, 1, pending(1))];
    let polled_again = [&rows(TryOutcome::Done)[..], &later, &later].concat();
    assert_eq!(found(&polled_again), [("undrained", vec![5, 4, 3])]);
}

#[test]
fn what_is_dropped_before_its_end_is_found_only_with_bytes_in_hand() {
    let opened = Kind::SpanOpened { span: 1, parent: 0, label: 0 };
    let read = Kind::SourceTried {
        direction: Direction::Read,
        outcome: TryOutcome::Done,
        source: 5,
        bytes: 10,
    };
    let closed = |completed| Kind::SpanClosed { span: 1, completed, polls: 1 };
    let head = [(0, 1, SPAWN), (0, 1, POLL), (0, 1, opened)];
    assert_eq!(
        found(&[&head[..], &[(0, 1, read), (0, 1, closed(false))]].concat()),
        [("dropped-midway", vec![4, 3, 2])]
    );
    assert_eq!(found(&[&head[..], &[(0, 1, read), (0, 1, closed(true))]].concat()), []);
    assert_eq!(found(&[&head[..], &[(0, 1, closed(false))]].concat()), []);
    let unpolled = Kind::SpanClosed { span: 1, completed: false, polls: 0 };
    assert_eq!(found(&[&head[..], &[(0, 1, unpolled)]].concat()), [("never-polled", vec![3, 2])]);
}

/// Tasks that wait for task 99, are woken by it all at once, and wait again.
fn herd(size: u64) -> Vec<(u64, u64, Kind)> {
    let waits = Kind::WaitsForTask { on: 99 };
    let mut rows = vec![(0, 99, SPAWN)];
    for id in 1..=size {
        rows.extend([(0, id, SPAWN), (0, id, POLL), (0, id, waits), (0, id, pending(1))]);
    }
    rows.push((1, 99, POLL));
    rows.extend((1..=size).map(|id| (1, id, woken(CauseKind::Task, 99))));
    rows.extend([(1, 99, READY), (1, 99, DONE)]);
    for id in 1..=size {
        rows.extend([(2, id, POLL), (2, id, waits), (2, id, pending(1))]);
    }
    rows
}

#[test]
fn a_herd_is_many_woken_by_one_cause_for_nothing() {
    assert_eq!(found(&herd(7)), []);
    let mut rows = herd(8);
    assert_eq!(found(&rows), [("herd", (33..=41).collect())]);
    assert_eq!(found_at(Detail::Basic, &rows), []);
    // One that found something to do makes no difference; one more, and it is no herd.
    let read = Kind::OutputTaken;
    let end = rows.len();
    rows.insert(end - 1, (2, 8, read));
    assert_eq!(found(&rows), [("herd", (33..=41).collect())]);
    rows.insert(end - 4, (2, 7, read));
    assert_eq!(found(&rows), []);
}

/// A task that spawns others and awaits each before it spawns the next.
fn chain(length: u64) -> Vec<(u64, u64, Kind)> {
    let mut rows = vec![(0, 1, SPAWN), (0, 1, POLL)];
    for id in 2..2 + length {
        let timer = u32::try_from(id).unwrap();
        rows.extend([
            (0, id, Kind::Spawned { parent: 1 }),
            (0, 1, Kind::WaitsForTask { on: id }),
            (0, 1, pending(1)),
            (0, id, POLL),
            (0, id, Kind::TimerArmed { timer, deadline: 9 }),
            (0, id, pending(1)),
            (9, id, Kind::TimerFired { timer, late: 0 }),
            (9, id, woken(CauseKind::Timer, id)),
            (9, id, POLL),
            (9, id, READY),
            (9, id, DONE),
            (9, 1, woken(CauseKind::Join, id)),
            (9, 1, POLL),
            (9, id, Kind::OutputTaken),
        ]);
    }
    rows
}

#[test]
fn a_chain_of_children_is_noted() {
    assert_eq!(found(&chain(2)), []);
    assert_eq!(found(&chain(3)), [("one-at-a-time", vec![2, 16, 30])]);
}
