//! Spawning tasks and joining them: what starting a piece of work costs.

use crate::runtimes::Spawns;
use crate::scenario::{Contestant, Figures, Goal, Row, Scenario, Unit, nanos_per};
use std::cell::Cell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

/// 1,000 tasks of one type and of four, and 100,000.
pub fn scenarios() -> Vec<Scenario> {
    let row = |title, goals| vec![Row { title, unit: Unit::Nanos, goals, note: "per task" }];
    let thousand = row("spawn + join, 1,000 tasks", vec![Goal::OfBestPeer(0.62)]);
    let types = row("spawn + join, 1,000 tasks of four types by turns", vec![]);
    let many = row("spawn + join, 100,000 tasks", vec![Goal::OfBestPeer(1.0)]);
    vec![
        Scenario::new("spawn-1k", thousand, with(1_000, 100)),
        Scenario::new("spawn-types", types, with_types(1_000, 100)),
        Scenario::new("spawn-100k", many, with(100_000, 1)),
    ]
}

/// The contestants for `tasks` at once, a multiple of four, `repeats` times over in one runtime, after
/// one time unmeasured: a server that has been up for a minute has its tables grown.
pub fn with(tasks: usize, repeats: usize) -> Vec<Contestant> {
    crate::contestants!(
        bare::<0, 0, 0, 0>(tasks, repeats),
        one_type(tasks, repeats),
        [tokio, tokio_set, smol, futures, monoio, compio, glommio]
    )
}

/// The same for tasks of four types by turns: the memory of one that has ended is then mostly of the
/// wrong type for the next.
pub fn with_types(tasks: usize, repeats: usize) -> Vec<Contestant> {
    crate::contestants!(
        bare::<0, 1, 2, 3>(tasks, repeats),
        four_types(tasks, repeats),
        [tokio, tokio_set, smol, futures, monoio, compio, glommio]
    )
}

/// What the floor's queue knows of a job.
trait Run {
    fn run(&self);
}

/// Memory for a job and its result, used again and again.
struct Place<J> {
    job: Cell<Option<J>>,
    result: Cell<Option<usize>>,
}

impl<J: FnOnce() -> usize> Run for Place<J> {
    fn run(&self) {
        let job = self.job.take().unwrap();
        self.result.set(Some(job()));
    }
}

/// The floor's jobs of one type: the handles of those that were started, and the places that are free.
struct Jobs<J> {
    started: Vec<Rc<Place<J>>>,
    free: Vec<Rc<Place<J>>>,
}

impl<J: FnOnce() -> usize + 'static> Jobs<J> {
    /// The function says which type is meant.
    fn new(_: impl Fn(usize) -> J) -> Self {
        Self { started: Vec::new(), free: Vec::new() }
    }

    fn start(&mut self, queue: &mut VecDeque<Rc<dyn Run>>, job: J) {
        let new = || Rc::new(Place { job: Cell::new(None), result: Cell::new(None) });
        let place = self.free.pop().unwrap_or_else(new);
        place.job.set(Some(job));
        queue.push_back(Rc::clone(&place) as _);
        self.started.push(place);
    }

    fn join_all(&mut self) {
        for place in self.started.drain(..) {
            black_box(place.result.take().unwrap());
            self.free.push(place);
        }
    }
}

/// Each type is also of its own size.
fn job<const TYPE: usize>(i: usize) -> impl FnOnce() -> usize + 'static {
    let more = [i; TYPE];
    move || {
        black_box(more);
        black_box(i)
    }
}

/// The floor: a queue of closures that leave their results where they were themselves.
///
/// Nothing less would do the work: jobs of different types can stand in one queue only behind a
/// pointer, and a result has to stay somewhere when its job is gone. That memory is used again, as a
/// list for each type knows what is free: the floor allocates nothing once it has run for a while.
fn bare<const A: usize, const B: usize, const C: usize, const D: usize>(
    tasks: usize,
    repeats: usize,
) -> Figures {
    let mut queue = VecDeque::new();
    let (mut a, mut b) = (Jobs::new(job::<A>), Jobs::new(job::<B>));
    let (mut c, mut d) = (Jobs::new(job::<C>), Jobs::new(job::<D>));
    let mut pass = || {
        for i in (0..tasks).step_by(4) {
            a.start(&mut queue, job::<A>(i));
            b.start(&mut queue, job::<B>(i + 1));
            c.start(&mut queue, job::<C>(i + 2));
            d.start(&mut queue, job::<D>(i + 3));
        }
        while let Some(job) = queue.pop_front() {
            job.run();
        }
        a.join_all();
        b.join_all();
        c.join_all();
        d.join_all();
    };
    pass();
    let start = Instant::now();
    for _ in 0..repeats {
        pass();
    }
    vec![nanos_per(start, tasks * repeats)]
}

pub(super) fn one_type<R: Spawns>(tasks: usize, repeats: usize) -> Figures {
    work::<R, 0, 0, 0, 0>(tasks, repeats)
}

fn four_types<R: Spawns>(tasks: usize, repeats: usize) -> Figures {
    work::<R, 0, 1, 2, 3>(tasks, repeats)
}

/// The same on a runtime.
fn work<R: Spawns, const A: usize, const B: usize, const C: usize, const D: usize>(
    tasks: usize,
    repeats: usize,
) -> Figures {
    R::run(async move {
        R::spawn(async move {
            let (mut a, mut b, mut c, mut d) = (vec![], vec![], vec![], vec![]);
            let mut start = Instant::now();
            for pass in 0..=repeats {
                // The first is not measured.
                if pass == 1 {
                    start = Instant::now();
                }
                for i in (0..tasks).step_by(4) {
                    a.push(R::spawn(task::<A>(i)));
                    b.push(R::spawn(task::<B>(i + 1)));
                    c.push(R::spawn(task::<C>(i + 2)));
                    d.push(R::spawn(task::<D>(i + 3)));
                }
                let pairs = a.drain(..).zip(b.drain(..)).zip(c.drain(..).zip(d.drain(..)));
                for ((a, b), (c, d)) in pairs {
                    black_box((a.await, b.await, c.await, d.await));
                }
            }
            vec![nanos_per(start, tasks * repeats)]
        })
        .await
    })
}

fn task<const TYPE: usize>(i: usize) -> impl Future<Output = usize> {
    let job = job::<TYPE>(i);
    async move { job() }
}
