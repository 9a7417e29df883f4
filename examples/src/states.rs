//! `--states`: an observer of a dozen lines that prints every task's changes of state.

use std::collections::HashMap;
use std::io::Write;

use mainspring::observe::{Event, Kind, Observer, PollOutcome, TaskInfo};

use crate::text::Printable;

/// Prints lines such as `    12.3 ms  task 7 "fetch /detail/7"  pending→running`.
pub struct States<W> {
    out: W,
    names: HashMap<u64, String>,
}

impl<W: Write> States<W> {
    /// An observer that prints to `out`.
    pub fn new(out: W) -> States<W> {
        States { out, names: HashMap::new() }
    }
}

impl<W: Write> Observer for States<W> {
    fn on_task(&mut self, task: &TaskInfo<'_>) {
        let name = task.name.map(|name| format!(" \"{}\"", Printable(name))).unwrap_or_default();
        self.names.insert(task.id, name);
    }

    fn on_event(&mut self, event: &Event) {
        let change = match event.kind {
            Kind::Spawned { .. } => "→pending",
            Kind::PollStarted { .. } => "pending→running",
            Kind::PollEnded { outcome: PollOutcome::Pending, .. } => "running→pending",
            Kind::Done { .. } => "running→done",
            Kind::Cancelled { .. } => "→cancelled",
            _ => return,
        };
        let over = matches!(event.kind, Kind::Done { .. } | Kind::Cancelled { .. });
        let name = if over {
            self.names.remove(&event.task).unwrap_or_default()
        } else {
            self.names.get(&event.task).cloned().unwrap_or_default()
        };
        let (at, task) = (event.at as f64 / 1e6, event.task);
        // An observer cannot stop the loop: a reader that has gone away misses the rest.
        writeln!(self.out, "{at:>9.1} ms  task {task}{name}  {change}").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainspring::future::yield_now;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A writer that the test can look into while the observer holds it.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_change_of_state_is_a_line() {
        let shared = Shared::default();
        let mut runtime = mainspring::Runtime::builder()
            .clock(mainspring::time::Clock::Virtual)
            .observer(States::new(shared.clone()))
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let task = mainspring::spawn_named("fetch /\x1b[2J", yield_now());
            task.await.expect("it returns");
        });
        drop(runtime);
        let printed = String::from_utf8(shared.0.borrow().clone()).expect("text");
        let of_the_task: Vec<&str> =
            printed.lines().filter(|line| line.contains("fetch")).collect();
        assert_eq!(
            of_the_task,
            [
                "      0.0 ms  task 2 \"fetch /\\u{1b}[2J\"  →pending",
                "      0.0 ms  task 2 \"fetch /\\u{1b}[2J\"  pending→running",
                "      0.0 ms  task 2 \"fetch /\\u{1b}[2J\"  running→pending",
                "      0.0 ms  task 2 \"fetch /\\u{1b}[2J\"  pending→running",
                "      0.0 ms  task 2 \"fetch /\\u{1b}[2J\"  running→done",
            ]
        );
    }
}
