//! What is known only when the whole trace has been seen.

use mainspring::observe::{Event, TryOutcome};

use super::Code;
use super::scan::Scan;
use crate::text::{Nanos, count};

impl Scan<'_> {
    pub(super) fn finish(&mut self) {
        self.finish_lives();
        self.finish_edges();
        self.finish_herds();
        self.late.sort_unstable_by(|a, b| b.cmp(a));
        if let Some((late, number)) = self.late.first().copied() {
            let at = self.event(number).map_or(0, |event| event.at);
            let timers = count(self.late.len(), "timer");
            let limit = Nanos(self.limits.late_timer);
            let what = format!("{timers} fired more than {limit} late, the worst {}", Nanos(late));
            let evidence = self.late.iter().map(|(_, number)| *number).collect();
            self.add(Code::LateTimer, 0, at, what, evidence, late);
        }
        let most = self.alive.last().copied().unwrap_or(0);
        let rising = self.alive.len() >= 8 && self.alive.windows(2).all(|pair| pair[0] < pair[1]);
        let some_end = self.model.totals.done * 5 >= self.model.totals.spawned;
        if rising && some_end && most >= self.limits.growth {
            let what = format!(
                "the number of live tasks rose all the time, from {} to {}",
                self.alive[0], most
            );
            let last = self.trace.first() + self.trace.events.len() as u64 - 1;
            self.add(Code::UnboundedGrowth, 0, self.model.now, what, vec![last], 0);
        }
    }

    fn event(&self, number: u64) -> Option<&Event> {
        let index = number.checked_sub(self.trace.first())?;
        self.trace.events.get(usize::try_from(index).ok()?)
    }

    fn finish_lives(&mut self) {
        for task in self.lives.keys().copied().collect::<Vec<_>>() {
            self.end_chain(task);
            self.end_storm(task);
        }
        for (task, life) in std::mem::take(&mut self.lives) {
            if let Some((number, at)) = life.lost {
                let what =
                    format!("{} answered pending when no waker of it was left", self.name(task));
                self.add(Code::LostWaker, task, at, what, vec![number], 0);
            }
            let polls = self.model.task(task).map_or(0, |task| task.polls);
            let empty = life.empty.len() as u64;
            if empty > self.limits.spurious && empty * 10 >= polls * 3 {
                let what =
                    format!("{empty} of the {polls} polls of {} changed nothing", self.name(task));
                let at = self.event(life.empty[0]).map_or(0, |event| event.at);
                self.add(Code::SpuriousPolls, task, at, what, life.empty, empty);
            }
        }
    }

    fn finish_edges(&mut self) {
        for ((source, reads), edge) in std::mem::take(&mut self.edges) {
            let (Some(ready), Some((tried, outcome)), Some((waits, task, at))) =
                (edge.ready, edge.tried, edge.waits)
            else {
                continue;
            };
            if outcome == TryOutcome::Done && waits > tried && tried > ready {
                let what = format!(
                    "{} waits for source {source} although its last {} did not reach the end",
                    self.name(task),
                    if reads { "read" } else { "write" }
                );
                self.add(Code::Undrained, task, at, what, vec![waits, tried, ready], 0);
            }
        }
    }

    fn finish_herds(&mut self) {
        let worst = std::mem::take(&mut self.herds)
            .into_iter()
            .filter(|(_, (woken, progressed))| woken.len() >= self.limits.herd && *progressed <= 1);
        for (cause, (woken, progressed)) in worst.collect::<Vec<_>>() {
            let event = self.event(cause).copied();
            let what = format!(
                "{} were woken at once, and {progressed} of them found something to do",
                count(woken.len(), "task")
            );
            let weight = woken.len() as u64;
            let evidence = [cause].into_iter().chain(woken).collect();
            let (task, at) = event.map_or((0, 0), |event| (event.task, event.at));
            self.add(Code::Herd, task, at, what, evidence, weight);
        }
    }
}
