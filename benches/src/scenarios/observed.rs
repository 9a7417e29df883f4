//! What being observed costs: the same storm of yields without an observer, with one that keeps events in
//! a ring, at its basic level and at its full one, and with the microscope's recorder, which also keeps a
//! model of all that its ring has forgotten.

use super::yield_::Yield;
use crate::scenario::{Contestant, Figures, Goal, OURS, Row, Scenario, Unit, nanos_per};
use mainspring::observe::{Detail, Event, Kind, Observer};
use mainspring::{Builder, Runtime};
use mainspring_microscope::Recorder;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Events kept by each ring: it fills up and evicts many times in a round.
const RING: usize = 1 << 12;

/// What each row may come to at most: nanoseconds that are added per poll, or how many times the time of a yield
/// that is not observed.
const ADDED: [(Unit, f64); 3] = [(Unit::Nanos, 40.0), (Unit::Nanos, 90.0), (Unit::Nanos, 90.0)];
const TIMES: [(Unit, f64); 2] = [(Unit::Times, 4.0), (Unit::Times, 7.0)];

/// One task and a thousand.
pub fn scenarios() -> Vec<Scenario> {
    let one = &[
        "yield, 1 task × 200,000: a ring of basic detail adds",
        "yield, 1 task: a ring of everything adds",
        "yield, 1 task: the microscope adds",
    ];
    let thousand = &[
        "yield, 1,000 tasks × 200: a ring of basic detail adds",
        "yield, 1,000 tasks: a ring of everything adds",
        "yield, 1,000 tasks: the microscope adds",
        "yield, 1,000 tasks: with a ring of everything, to one without",
        "yield, 1,000 tasks: with the microscope, to one without",
    ];
    vec![storm("observed-1", one, (1, 200_000)), storm("observed-1k", thousand, (1_000, 200))]
}

fn storm(
    id: &'static str,
    titles: &'static [&'static str],
    (tasks, yields): (usize, usize),
) -> Scenario {
    let rows = titles.iter().zip(ADDED.into_iter().chain(TIMES)).map(|(title, (unit, goal))| Row {
        title,
        unit,
        goals: vec![Goal::AtMost(goal)],
        note: "per poll, to one without",
    });
    let rows: Vec<Row> = rows.collect();
    let told = rows.len();
    let run = move || added(tasks, yields).into_iter().take(told).collect();
    Scenario {
        id,
        rows,
        contestants: vec![Contestant::new(OURS, run)],
        isolated: false,
        max_rounds: usize::MAX,
    }
}

/// The least that keeps the latest events.
#[derive(Clone)]
struct Ring(Rc<RefCell<(Vec<Event>, u64)>>, Detail);

impl Ring {
    fn new(detail: Detail) -> Ring {
        let blank = Event { at: 0, task: 0, kind: Kind::LoopEntered };
        Ring(Rc::new(RefCell::new((vec![blank; RING], 0))), detail)
    }

    fn told(&self) -> u64 {
        self.0.borrow().1
    }
}

impl Observer for Ring {
    fn detail(&self) -> Detail {
        self.1
    }

    fn on_event(&mut self, event: &Event) {
        let (ring, told) = &mut *self.0.borrow_mut();
        ring[*told as usize % RING] = *event;
        *told += 1;
    }
}

/// All four in turn, so that whatever the machine does meanwhile hits them alike.
fn added(tasks: usize, yields: usize) -> Figures {
    let without = polls(Runtime::builder(), tasks, yields);
    let basic = Ring::new(Detail::Basic);
    let with_basic = polls(Runtime::builder().observer(basic.clone()), tasks, yields);
    let ring = Ring::new(Detail::Full);
    let with_ring = polls(Runtime::builder().observer(ring.clone()), tasks, yields);
    let microscope = Recorder::ring(RING);
    let with_all = polls(Runtime::builder().observer(microscope.observer()), tasks, yields);
    let done = (tasks * yields) as u64;
    assert!(basic.told() > 2 * done, "nothing has been recorded");
    assert!(ring.told() > 3 * done && microscope.told() > 3 * done, "nothing has been recorded");
    let added = [with_basic, with_ring, with_all].map(|with| with - without);
    added.into_iter().chain([with_ring, with_all].map(|with| with / without)).collect()
}

fn polls(builder: Builder, tasks: usize, yields: usize) -> f64 {
    let mut runtime = builder.build().expect("the operating system gives a poller");
    runtime.block_on(async move {
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                mainspring::spawn(async move {
                    for _ in 0..yields {
                        Yield::new().await;
                    }
                })
            })
            .collect();
        let start = Instant::now();
        for handle in handles {
            handle.await.expect("a task that only yields ends");
        }
        nanos_per(start, tasks * yields)
    })
}
