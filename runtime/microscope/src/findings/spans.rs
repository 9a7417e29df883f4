//! What is found when a labelled future goes.

use mainspring::observe::Event;

use super::Code;
use super::scan::{Open, Scan};
use crate::text::count;

impl Scan<'_> {
    pub(super) fn span_closed(&mut self, event: &Event, span: u32, completed: bool, polls: u32) {
        self.told(event.task);
        if let Some(open) = self.nesting.get_mut(&event.task) {
            open.retain(|other| *other != span);
        }
        let Some(open) = self.spans.remove(&span) else { return };
        if completed {
            return;
        }
        let label = self.model.spans.get(&u64::from(span)).map_or(0, |span| span.label);
        let written_at = self.trace.texts.labels.get(&label).map(|text| text.place.to_string());
        let label = self.trace.texts.label(label);
        let cause = written_at.filter(|place| !place.is_empty()).unwrap_or_else(|| label.clone());
        let known = self.found.len();
        self.dropped(event, &open, &label, polls);
        self.found[known..].iter_mut().for_each(|found| found.cause.clone_from(&cause));
    }

    /// A labelled future went before its end.
    fn dropped(&mut self, event: &Event, open: &Open, label: &str, polls: u32) {
        let number = self.number();
        if polls == 0 {
            let what = format!("the future \"{label}\" was dropped without having been polled");
            let evidence = vec![number, open.opened];
            self.add(Code::NeverPolled, event.task, event.at, what, evidence, 0);
            return;
        }
        let running = self.model.running == event.task;
        let task_polls = self
            .model
            .task(event.task)
            .map_or(0, |task| (task.polls + 1).saturating_sub(open.poll));
        // The poll in which it is dropped may have done so before its turn came.
        if task_polls > u64::from(polls) + 1 && running {
            let what = format!(
                "\"{label}\" in {} was polled in {polls} of its task's {task_polls} polls, then \
                 dropped",
                self.name(event.task)
            );
            self.add(Code::SetAside, event.task, event.at, what, vec![number, open.opened], 0);
        }
        if let (true, Some((read, bytes))) = (running, open.read) {
            let bytes_read = count(bytes as usize, "byte");
            let what = format!(
                "\"{label}\" in {} had read {bytes_read} when it was dropped",
                self.name(event.task)
            );
            let evidence = vec![number, read, open.opened];
            self.add(Code::DroppedMidway, event.task, event.at, what, evidence, u64::from(bytes));
        }
    }
}
