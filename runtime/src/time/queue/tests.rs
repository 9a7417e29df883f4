//! The timer queue against a model that cannot be wrong: a list, searched from end to end.

use std::sync::Arc;
use std::task::{Wake, Waker};

use proptest::prelude::*;

use super::*;

/// A waker that no other timer has.
struct Own;

impl Wake for Own {
    fn wake(self: Arc<Self>) {}
}

fn own_waker() -> Waker {
    Waker::from(Arc::new(Own))
}

#[derive(Clone, Debug)]
enum Step {
    /// Arm a timer so long after now.
    Arm(u64),
    /// Cancel, or give another waker to, one of the timers ever armed, live or not.
    Cancel(prop::sample::Index),
    Rewake(prop::sample::Index),
    /// Let so much time pass, then fire what is due, at max so many.
    Expire(u64, usize),
    /// Ask for the next deadline.
    Peek,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few distinct deadlines make many ties; the far ones stand for `Duration::MAX`.
    let delay = prop_oneof![8 => 0..10_u64, 1 => Just(u64::MAX), 1 => 0..1_000_u64];
    let step = prop_oneof![
        6 => delay.prop_map(Step::Arm),
        4 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => any::<prop::sample::Index>().prop_map(Step::Rewake),
        2 => (0..8_u64, prop_oneof![Just(usize::MAX), 0..4_usize])
            .prop_map(|(passed, max)| Step::Expire(passed, max)),
        1 => Just(Step::Peek),
    ];
    prop::collection::vec(step, 0..400)
}

struct Timer {
    key: TimerKey,
    deadline: u64,
    waker: Waker,
    armed: bool,
}

#[derive(Default)]
struct Model {
    timers: Vec<Timer>,
    now: u64,
}

impl Model {
    fn armed(&self) -> impl Iterator<Item = &Timer> {
        self.timers.iter().filter(|timer| timer.armed)
    }

    /// The order is the point: by deadline, then as they were armed.
    fn expire(&mut self, max: usize) -> Vec<(u32, u64, Waker)> {
        let now = self.now;
        let mut due: Vec<_> =
            self.timers.iter_mut().filter(|t| t.armed && t.deadline <= now).collect();
        due.sort_by_key(|timer| (timer.deadline, timer.key.id()));
        due.into_iter()
            .take(max)
            .map(|timer| {
                timer.armed = false;
                (timer.key.id(), now - timer.deadline, timer.waker.clone())
            })
            .collect()
    }
}

fn check(steps: Vec<Step>) {
    let (mut queue, mut model) = (TimerQueue::default(), Model::default());
    for step in steps {
        match step {
            Step::Arm(delay) => {
                let (waker, deadline) = (own_waker(), model.now.saturating_add(delay));
                let key = queue.arm(deadline, waker.clone());
                assert!(model.timers.iter().all(|timer| timer.key != key), "a key is never reused");
                model.timers.push(Timer { key, deadline, waker, armed: true });
            }
            Step::Cancel(which) if !model.timers.is_empty() => {
                let at = which.index(model.timers.len());
                let timer = &mut model.timers[at];
                let gone = queue.cancel(timer.key);
                assert_eq!(gone.is_some(), timer.armed);
                assert!(gone.is_none_or(|waker| waker.will_wake(&timer.waker)));
                timer.armed = false;
                let kept = queue.heap.len() + queue.fresh.len();
                assert!(kept <= 2 * queue.armed + COMPACT_ABOVE, "{kept} entries kept");
            }
            Step::Rewake(which) if !model.timers.is_empty() => {
                let at = which.index(model.timers.len());
                let (timer, waker) = (&mut model.timers[at], own_waker());
                assert_eq!(queue.waker(timer.key).is_some(), timer.armed);
                let left = queue.set_waker(timer.key, waker.clone()).expect("one of the two");
                let kept = if timer.armed { &timer.waker } else { &waker };
                assert!(left.will_wake(kept));
                timer.waker = waker;
            }
            Step::Cancel(_) | Step::Rewake(_) => {}
            Step::Expire(passed, max) => {
                model.now += passed;
                let mut fired = Vec::new();
                queue.expire(model.now, max, &mut fired);
                let expected = model.expire(max);
                assert_eq!(fired.len(), expected.len());
                for (fired, (id, late, waker)) in fired.into_iter().zip(expected) {
                    assert_eq!((fired.id, fired.late), (id, late));
                    assert!(fired.waker.will_wake(&waker));
                }
            }
            Step::Peek => {
                let next = model.armed().map(|timer| timer.deadline).min();
                assert_eq!(queue.next_deadline(), next);
            }
        }
        assert_eq!(queue.armed, model.armed().count());
    }
    // No waker is kept by a timer that is not armed.
    for timer in &model.timers {
        let held = queue.places.iter().filter_map(|place| place.waker.as_ref());
        let held = held.filter(|waker| waker.will_wake(&timer.waker)).count();
        assert_eq!(held, usize::from(timer.armed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_list(steps in steps()) {
        check(steps);
    }
}

/// Timeouts that never fire are the common case: a million of them, armed and cancelled, with one
/// that stays.
#[test]
fn cancelled_timers_do_not_pile_up() {
    let mut queue = TimerQueue::default();
    let stays = queue.arm(5, own_waker());
    for deadline in 0..1_000_000 {
        let key = queue.arm(1_000 + deadline, Waker::noop().clone());
        if deadline % 1_000 == 0 {
            assert_eq!(queue.next_deadline(), Some(5));
        }
        assert!(queue.cancel(key).is_some());
    }
    assert_eq!((queue.armed, queue.places.len()), (1, 2));
    assert!(queue.heap.len() + queue.fresh.len() <= 2 + COMPACT_ABOVE);
    assert!(queue.cancel(stays).is_some());
    assert_eq!(queue.next_deadline(), None);
}
