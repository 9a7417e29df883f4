//! The model against the runtime: random programs, and after every single event both say the same of
//! every task.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::observe::{Detail, Event, Kind, Label, Observer, TaskInfo, WakeEffect, traced};
use mainspring::time::{Clock, sleep, timeout};
use mainspring::{JoinHandle, Pending, Runtime, Scheduler, TaskState, spawn};
use mainspring_microscope::model::{Phase, State, Task};
use mainspring_microscope::{Model, Recorder, RecorderObserver, Trace};
use proptest::prelude::*;

/// What a task does, one after another. Numbers name tasks, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Yield,
    Sleep(u8),
    Spawn(Vec<Op>),
    Join(u8),
    Cancel(u8),
    Forget(u8),
    /// Waits until it is woken.
    Park,
    /// Wakes all that park.
    Unpark,
    WakeMyself,
    Timeout(u8, Vec<Op>),
    Panic,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        3 => Just(Op::Yield),
        3 => (0..4_u8).prop_map(Op::Sleep),
        3 => any::<u8>().prop_map(Op::Join),
        2 => any::<u8>().prop_map(Op::Cancel),
        1 => any::<u8>().prop_map(Op::Forget),
        2 => Just(Op::Park),
        2 => Just(Op::Unpark),
        1 => Just(Op::WakeMyself),
        1 => Just(Op::Panic),
    ];
    let program = prop::collection::vec(leaf, 0..6);
    program.prop_recursive(3, 60, 6, |inner| {
        let nested = prop_oneof![
            3 => inner.clone().prop_map(|ops| vec![Op::Spawn(ops)]),
            1 => (0..4_u8, inner.clone()).prop_map(|(ms, ops)| vec![Op::Timeout(ms, ops)]),
            2 => inner,
        ];
        prop::collection::vec(nested, 0..6).prop_map(|parts| parts.concat())
    })
}

type Handle = Rc<RefCell<Option<JoinHandle<()>>>>;

/// What the tasks of a program share.
#[derive(Default)]
struct World {
    handles: RefCell<Vec<Handle>>,
    parked: RefCell<Vec<Waker>>,
    /// No task parks any more: a loop waits for ever while a waker is held.
    closed: Cell<bool>,
}

impl World {
    fn handle(&self, n: u8) -> Option<Handle> {
        let handles = self.handles.borrow();
        let at = usize::from(n).checked_rem(handles.len())?;
        Some(handles[at].clone())
    }

    fn unpark(&self) {
        let parked = std::mem::take(&mut *self.parked.borrow_mut());
        parked.into_iter().for_each(Waker::wake);
    }
}

/// Wakes who is still parked after a while, and lets none park again.
async fn close(world: Rc<World>) {
    sleep(Duration::from_millis(20)).await;
    world.closed.set(true);
    world.unpark();
}

fn perform(world: Rc<World>, ops: Vec<Op>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        for op in ops {
            match op {
                Op::Yield => yield_now().await,
                Op::Sleep(ms) => sleep(Duration::from_millis(ms.into())).await,
                Op::Spawn(ops) => {
                    let handle = spawn(perform(world.clone(), ops));
                    world.handles.borrow_mut().push(Rc::new(RefCell::new(Some(handle))));
                }
                Op::Join(n) => join(&world, n).await,
                Op::Cancel(n) => {
                    let shared = world.handle(n);
                    let place = shared.as_ref().map(|shared| shared.borrow());
                    if let Some(handle) = place.as_ref().and_then(|place| place.as_ref()) {
                        handle.cancel();
                    }
                }
                Op::Forget(n) => {
                    let handle = world.handle(n).and_then(|handle| handle.borrow_mut().take());
                    drop(handle);
                }
                Op::Park => park(&world).await,
                Op::Unpark => world.unpark(),
                Op::WakeMyself => {
                    poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        cx.waker().wake_by_ref();
                        Poll::Ready(())
                    })
                    .await;
                }
                Op::Timeout(ms, ops) => {
                    let inner = traced("inner", perform(world.clone(), ops));
                    // Whether it was in time makes no difference to the program.
                    timeout(Duration::from_millis(ms.into()), inner).await.unwrap_or(());
                }
                // The quiet kind of panic: no message on stderr.
                Op::Panic => std::panic::resume_unwind(Box::new("on purpose")),
            }
        }
    })
}

/// Awaits a task unless its result has been read already.
async fn join(world: &Rc<World>, n: u8) {
    let Some(shared) = world.handle(n) else { return };
    let result = poll_fn(|cx| {
        let mut place = shared.borrow_mut();
        let Some(handle) = place.as_mut() else { return Poll::Ready(None) };
        Pin::new(handle).poll(cx).map(Some)
    })
    .await;
    if result.is_some() {
        shared.borrow_mut().take();
    }
}

async fn park(world: &Rc<World>) {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) && !world.closed.get() {
            world.parked.borrow_mut().push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Follows the events with a model, and compares it with what the handles say after each of them.
struct Judge {
    record: RecorderObserver,
    model: Model,
    world: Rc<World>,
    wrong: Rc<RefCell<Vec<String>>>,
    compared: Rc<Cell<u64>>,
}

impl Observer for Judge {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        self.record.on_task(task);
    }

    fn on_label(&mut self, label: &Label<'_>) {
        self.record.on_label(label);
    }

    fn detail(&self) -> Detail {
        self.record.detail()
    }

    fn on_event(&mut self, event: &Event) {
        self.record.on_event(event);
        let head = self.model.ready.front().copied();
        if matches!(event.kind, Kind::PollStarted { .. }) && head != Some(event.task) {
            let what = format!("{event:?}: the head of the queue was {head:?}");
            self.wrong.borrow_mut().push(what);
        }
        self.model.apply(event);
        let Ok(handles) = self.world.handles.try_borrow() else { return };
        for handle in handles.iter() {
            let Ok(handle) = handle.try_borrow() else { continue };
            let Some(handle) = handle.as_ref() else { continue };
            let task = self.model.task(handle.id().get()).expect("a task that was told of");
            // The end of a poll and of a life are told while the task is in the loop's hands, and
            // so is a draw; a cancel request is told before the wake that it implies.
            let told = matches!(
                event.kind,
                Kind::PollEnded { .. }
                    | Kind::Done { .. }
                    | Kind::Cancelled { .. }
                    | Kind::CancelRequested { .. }
            );
            let drawn = matches!(event.kind, Kind::Decided { .. });
            let drawn = drawn && self.model.ready.front() == Some(&task.id);
            if told && event.task == task.id || drawn {
                continue;
            }
            // Asked for its end and taken from the queue, its future is dropped before its end is
            // told: in between only the runtime knows.
            let ending = task.cancel.is_some() || self.model.phase == Phase::Outside;
            let agrees = match (task.state, handle.state()) {
                (State::Idle, TaskState::Pending(Pending::Idle))
                | (State::Scheduled, TaskState::Pending(Pending::Scheduled))
                | (State::Running | State::Ending { .. }, TaskState::Running)
                | (State::Done { .. } | State::Ending { .. }, TaskState::Done)
                | (State::Cancelled { .. }, TaskState::Cancelled) => true,
                (State::Idle | State::Scheduled, TaskState::Cancelled) => ending,
                _ => false,
            };
            self.compared.set(self.compared.get() + 1);
            if !agrees {
                let what = format!(
                    "event {} {event:?}: model {:?}, runtime {:?} of task {}",
                    self.model.next - 1,
                    task.state,
                    handle.state(),
                    handle.id()
                );
                self.wrong.borrow_mut().push(what);
            }
        }
    }
}

/// Whether a recording of basic detail has it.
fn is_basic(kind: &Kind) -> bool {
    match kind {
        Kind::TurnStarted { .. } | Kind::TurnEnded => false,
        Kind::Woken { effect, .. } => *effect == WakeEffect::Scheduled,
        _ => true,
    }
}

struct Outcome {
    trace: Trace,
    wrong: Vec<String>,
    compared: u64,
}

fn run(ops: &[Op], scheduler: Scheduler, recorder: &Recorder) -> Outcome {
    let world = Rc::new(World::default());
    let (wrong, compared) = (Rc::<RefCell<Vec<String>>>::default(), Rc::new(Cell::new(0)));
    let judge = Judge {
        record: recorder.observer(),
        model: Model::new(),
        world: world.clone(),
        wrong: wrong.clone(),
        compared: compared.clone(),
    };
    let mut runtime = Runtime::builder()
        .clock(Clock::Virtual)
        .scheduler(scheduler)
        .observer(judge)
        .build()
        .expect("a runtime");
    drop(runtime.spawn(close(world.clone())));
    let main = perform(world.clone(), ops.to_vec());
    // Some programs stall, some panic in main: both are ways to end.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(runtime.try_block_on(main));
    }));
    drop(ended);
    drop(runtime);
    world.handles.borrow_mut().clear();
    let wrong = wrong.take();
    Outcome { trace: recorder.trace(), wrong, compared: compared.get() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_model_says_what_the_runtime_says(ops in ops(), seed in prop::option::of(0..9_u64)) {
        let scheduler = seed.map_or(Scheduler::Fifo, Scheduler::Seeded);
        let whole = run(&ops, scheduler, &Recorder::full(1 << 20));
        prop_assert_eq!(&whole.wrong, &Vec::<String>::new());
        let model = whole.trace.model();
        let around = model.illegal.iter().flat_map(|one| one.event.saturating_sub(9)..=one.event);
        prop_assert_eq!(&model.illegal, &vec![], "{:#?}", whole.trace.lines(around));

        // The same run in a ring decodes to the same states, from wherever it begins.
        let ring = run(&ops, scheduler, &Recorder::ring(64));
        let last = ring.trace.model();
        prop_assert_eq!(ring.trace.first() + ring.trace.events.len() as u64, model.next);
        prop_assert_eq!(&last, &model);
        let before = whole.trace.model_after(ring.trace.first() as usize);
        prop_assert_eq!(&ring.trace.snapshot, &before);
        // Whatever its size, it says the same of the present.
        for events in [1, 16, 48, 256] {
            let ring = run(&ops, scheduler, &Recorder::ring(events));
            prop_assert_eq!(ring.trace.dump(), whole.trace.dump(), "in a ring of {}", events);
        }

        // With less detail, the states and verdicts are the same.
        let basic = run(&ops, scheduler, &Recorder::full(1 << 20).with_detail(Detail::Basic));
        prop_assert_eq!(&basic.wrong, &Vec::<String>::new());
        prop_assert_eq!(&basic.trace.model().illegal, &vec![]);
        let mut basics = basic.trace.events.iter();
        let (mut model, mut twin) = (Model::new(), Model::new());
        for event in &whole.trace.events {
            model.apply(event);
            if is_basic(&event.kind) {
                prop_assert_eq!(basics.next(), Some(event));
                twin.apply(event);
            }
            prop_assert_eq!(twin.why(event.task).why, model.why(event.task).why, "{:?}", event);
            prop_assert_eq!(&twin.ready, &model.ready);
            // Who woke it may be unknown, but never wrong.
            let queued = |task: &&Task| task.state == State::Scheduled;
            let woken = |model: &Model| {
                let wake = model.task(event.task).filter(queued)?.woken?;
                Some((wake.at, wake.by, wake.id))
            };
            prop_assert!(woken(&twin).is_none() || woken(&twin) == woken(&model), "{:?}", event);
        }
        prop_assert_eq!(basics.next(), None);

        // And it survives the way through a file.
        let read = Trace::from_json(&whole.trace.to_json()).expect("our own file");
        prop_assert_eq!(read, whole.trace);
    }
}

/// What a look amid a batch finds goes to the head of the queue: in the runtime and in the model alike.
#[cfg(unix)]
#[test]
fn who_is_advanced_is_advanced_in_the_model_too() {
    let recorder = Recorder::full(1 << 20);
    let world = Rc::new(World::default());
    let wrong = Rc::<RefCell<Vec<String>>>::default();
    let judge = Judge {
        record: recorder.observer(),
        model: Model::new(),
        world: world.clone(),
        wrong: wrong.clone(),
        compared: Rc::default(),
    };
    let mut runtime = Runtime::builder().poll_interval(4).observer(judge).build().unwrap();
    runtime.block_on(async {
        for _ in 0..5 {
            let (end, peer) = mainspring::net::UnixStream::pair().unwrap();
            drop(spawn(async move {
                while poll_fn(|cx| end.poll_read(cx, &mut [0])).await.unwrap() > 0 {}
            }));
            drop(spawn(async move {
                for _ in 0..9 {
                    assert_eq!(poll_fn(|cx| peer.poll_write(cx, &[1])).await.unwrap(), 1);
                    yield_now().await;
                }
            }));
        }
        drop((0..30).map(|_| spawn(yield_now())).collect::<Vec<_>>());
        for _ in 0..20 {
            yield_now().await;
        }
    });
    drop(runtime);
    assert_eq!(*wrong.borrow(), Vec::<String>::new());
    let trace = recorder.trace();
    assert_eq!(trace.model().illegal, vec![]);
    let advanced = |event: &&Event| matches!(event.kind, Kind::Advanced { .. });
    assert!(trace.events.iter().filter(advanced).count() > 0);
}

#[test]
fn the_comparison_compares() {
    let ops = vec![Op::Spawn(vec![Op::Sleep(3), Op::Yield]), Op::Join(0), Op::Spawn(vec![])];
    let outcome = run(&ops, Scheduler::Fifo, &Recorder::full(1000));
    assert!(outcome.compared > 10, "{}", outcome.compared);
    let states: BTreeMap<u64, &str> =
        outcome.trace.model().tasks_in_order().iter().map(|t| (t.id, t.state.word())).collect();
    let expected = [(1, "cancelled"), (2, "done"), (3, "done"), (4, "cancelled")];
    assert_eq!(states, BTreeMap::from(expected));
}
