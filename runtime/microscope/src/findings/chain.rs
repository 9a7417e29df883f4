//! Tasks that are spawned and awaited one after another.

use super::Code;
use super::scan::Scan;
use crate::text::count;

impl Scan<'_> {
    pub(super) fn spawned(&mut self, child: u64, parent: u64) {
        // The chain holds while the child before was awaited until it ended, had to wait itself,
        // and nothing is alive but the parent and the new child.
        let had_to_wait = |id: &u64| {
            self.model.task(*id).is_some_and(|task| task.state.is_ended() && task.polls > 1)
        };
        let alone = self.alive_now == 2;
        let Some(life) = self.lives.get(&parent) else { return };
        let holds =
            alone && life.in_turn.last().is_none_or(|last| life.awaited && had_to_wait(last));
        if !holds {
            self.end_chain(parent);
        }
        let life = self.life(parent);
        life.awaited = false;
        if alone {
            life.in_turn.push(child);
        }
    }

    /// Tells of children that were awaited one after another, if they are many enough.
    pub(super) fn end_chain(&mut self, parent: u64) {
        let mut chain = std::mem::take(&mut self.life(parent).in_turn);
        chain.retain(|id| self.model.task(*id).is_some_and(|task| task.polls > 1));
        if chain.len() < self.limits.one_at_a_time as usize {
            return;
        }
        let what = format!(
            "{} spawned {} and awaited each before the next",
            self.name(parent),
            count(chain.len(), "task")
        );
        let children = chain.iter().filter_map(|id| self.model.task(*id));
        let evidence: Vec<u64> = children.clone().map(|task| task.spawned_event).collect();
        let at = children.map(|task| task.spawned).min().unwrap_or(0);
        self.add(Code::OneAtATime, parent, at, what, evidence, chain.len() as u64);
    }
}
