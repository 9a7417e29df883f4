//! Whole screens, of a run that is told event by event.

use std::panic::Location;
use std::sync::Arc;

use mainspring::observe::{
    CancelOrigin, CauseKind, Direction, Event, Kind, Observer, PollOutcome, SourceKind, TaskInfo,
    WakeEffect,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::*;
use crate::Recorder;
use crate::live::channel::{Channel, LiveObserver};
use crate::live::gate::{Break, Gate};

/// A loop that is told of, and a watcher that looks at it.
struct Stage {
    channel: Arc<Channel>,
    observer: LiveObserver,
    follow: Follow,
    input: Input,
    now: Duration,
}

const MS: u64 = 1_000_000;

impl Stage {
    fn new() -> Stage {
        let channel = Arc::new(Channel::default());
        let observer = LiveObserver::new(channel.clone(), &Recorder::ring(64), false);
        let (follow, input) = Default::default();
        Stage { channel, observer, follow, input, now: Duration::ZERO }
    }

    fn tell(&mut self, at: u64, task: u64, kind: Kind) {
        self.observer.on_event(&Event { at, task, kind });
    }

    fn spawn(&mut self, at: u64, id: u64, name: &str) {
        let spawned_at = Location::caller();
        self.observer.on_task(&TaskInfo { id, name: Some(name), spawned_at, size: 64 });
        self.tell(at, id, Kind::Spawned { parent: id - 1 });
    }

    fn poll_over(&mut self, at: u64, id: u64, holders: u32) {
        let outcome = PollOutcome::Pending;
        self.tell(at, id, Kind::PollEnded { outcome, requeued: false, holders });
    }

    /// Looks so many milliseconds after the last look.
    fn look(&mut self, after: u64) {
        self.now += Duration::from_millis(after);
        self.follow.take(&self.channel, self.now);
        self.follow.watch(Some(Duration::from_millis(10)), self.now);
        self.follow.sample(self.now);
    }

    fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
            assert_eq!(self.input.press(KeyEvent::from(code)), None);
        }
    }

    fn screen(&mut self, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let picture = Picture { follow: &self.follow, now: self.now };
        let input = &mut self.input;
        terminal.draw(|frame| picture.draw(input, frame.area(), frame.buffer_mut())).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
        text.map(|row| row.trim_end().to_owned()).collect()
    }

    /// The screen as one text; places name lines of this very file, which may move.
    fn text(&mut self, width: u16, height: u16) -> String {
        let mut text = self.screen(width, height).join("\n");
        for file in [file!(), "live/screen/tests.rs"] {
            while let Some(from) = text.find(&format!("{file}:")) {
                let part_of_place = |c: char| c.is_ascii_digit() || c == ':';
                let after = &text[from + file.len()..];
                let end = after.find(|c| !part_of_place(c)).unwrap_or(after.len());
                text.replace_range(from..from + file.len() + end, "HERE");
            }
        }
        text
    }
}

/// main waits for task 2, which waits for a socket with a time limit; task 3 is ready; task 4 was
/// cancelled; task 5 runs.
fn busy_stage() -> Stage {
    let mut stage = Stage::new();
    stage.look(0);
    stage.tell(0, 0, Kind::LoopEntered);
    stage.spawn(0, 1, "main");
    stage.tell(0, 0, Kind::TurnStarted { ready: 1, turn: 1 });
    stage.tell(0, 1, Kind::PollStarted { holders: 0 });
    stage.spawn(MS, 2, "fetch /a/rather/long/path?page=2");
    stage.spawn(MS, 3, "evil\u{1b}[2J\u{202e}name");
    stage.spawn(MS, 4, "");
    stage.spawn(MS, 5, "日本語 parse");
    stage.tell(MS, 1, Kind::WaitsForTask { on: 2 });
    stage.poll_over(2 * MS, 1, 1);
    stage.tell(2 * MS, 2, Kind::PollStarted { holders: 0 });
    let source_kind = SourceKind::Stream;
    stage.tell(2 * MS, 2, Kind::SourceRegistered { source_kind, source: 1, fd: 9 });
    stage.tell(2 * MS, 2, Kind::TimerArmed { timer: 1, deadline: 502 * MS });
    stage.tell(2 * MS, 2, Kind::WaitsForSource { direction: Direction::Read, source: 1 });
    stage.poll_over(3 * MS, 2, 2);
    stage.tell(3 * MS, 3, Kind::PollStarted { holders: 0 });
    stage.poll_over(4 * MS, 3, 1);
    let by = CauseKind::Task;
    stage.tell(4 * MS, 4, Kind::Cancelled { origin: CancelOrigin::Handle, by: 1 });
    stage.tell(4 * MS, 5, Kind::PollStarted { holders: 0 });
    stage.tell(5 * MS, 3, Kind::Woken { effect: WakeEffect::Scheduled, by, id: 5 });
    stage
}

#[test]
fn eighty_by_twenty_four_holds_all_there_is() {
    let mut stage = busy_stage();
    stage.look(100);
    stage.screen(80, 24);
    stage.press("jj");
    assert_eq!(
        stage.text(80, 24),
        "\
mainspring  turn 1, 10 turns/s, busy 5 %, 1 ready (most 4)
4 tasks, 1 timer (next in 497 ms), 1 fd, 20 events, 20 kept


   ID NAME               STATE     WAITING FOR                FOR  POLLS    BUSY
    5 日 本 語  parse       RUNNING                             1 ms      1    1 ms
    3 evil�[2J�name      ready     next                      0 ns      1    1 ms
    1 main               idle      task 2 \"fet…th?page=2\"    3 ms      1    2 ms
    2 fetch /a/…h?page=2 idle      source 1 readable +1      2 ms      1    1 ms
    4                    cancelled by task 1                 1 ms      0    0 ns





task 1 \"main\" from HERE
  waiting for task 2 \"fetch /a/rather/long/path?page=2\", which waits for source
  1 poll, busy 2 ms, longest 2 ms; 0 wakes, 0 by itself; 1 of 1 waker held
· task 3 \"evil�[2J�name\" is not ready yet: it waits
· task 4 \"\" is cancelled (handle)
· task 5 \"日 本 語  parse\" runs
· task 5 \"日 本 語  parse\" wakes task 3 \"evil�[2J�name\": it queues

space hold·s turn·p poll·c go on·b break·t tree·/ filter·d dump·w page·q quit"
    );
}

#[test]
fn a_poll_that_lasts_too_long_is_told_of_on_top() {
    let mut stage = busy_stage();
    stage.look(100);
    stage.look(412);
    assert_eq!(
        stage.text(80, 8),
        "\
mainspring  turn 1, 1 turns/s, busy 81 %, 1 ready (most 4)
4 tasks, 1 timer (next in 85 ms), 1 fd, 20 events, 20 kept
!! task 5 \"日 本 語  parse\" has been polling for 412 ms
spawned HERE
   ID NAME               STATE     WAITING FOR                FOR  POLLS    BUSY
    5 日 本 語  parse       RUNNING                           413 ms      1  413 ms
task 5 \"日 本 語  parse\" from HERE
  running for 413 ms"
    );
}

#[test]
fn a_wide_terminal_shows_every_column_and_a_tree_shows_who_spawned_whom() {
    let mut stage = busy_stage();
    stage.look(100);
    stage.press("t");
    assert_eq!(stage.text(160, 20), "\
mainspring  turn 1, 10 turns/s, busy 5 %, 1 ready (most 4)
4 tasks, 1 timer (next in 497 ms), 1 fd, 20 events, 20 kept


   ID NAME                           STATE     WAITING FOR                            FOR  POLLS    BUSY LONGEST WAKES(SELF) WAKERS FROM
    1 main                           idle      task 2 \"fetch /a/…ong/path?page=2\"    3 ms      1    2 ms    2 ms       0 (0)      1 …src/HERE
    2   fetch /a/rath…ng/path?page=2 idle      source 1 readable +1                  2 ms      1    1 ms    1 ms       0 (0)      2 …src/HERE
    3     evil�[2J�name              ready     next                                  0 ns      1    1 ms    1 ms       1 (0)      1 …src/HERE
    5 日 本 語  parse                   RUNNING                                         1 ms      1    1 ms    1 ms       0 (0)      0 …src/HERE


task 1 \"main\" from HERE
  waiting for task 2 \"fetch /a/rather/long/path?page=2\", which waits for source 1 to become readable or timer #1 due in 497 ms
  1 poll, busy 2 ms, longest 2 ms; 0 wakes, 0 by itself; 1 of 1 waker held
· task 3 \"evil�[2J�name\" is not ready yet: it waits
· task 4 \"\" is cancelled (handle)
· task 5 \"日 本 語  parse\" runs
· task 5 \"日 本 語  parse\" wakes task 3 \"evil�[2J�name\": it queues

space hold·s turn·p poll·c go on·b break·t tree·/ filter·d dump·w page·q quit");
}

#[test]
fn a_filter_shows_what_it_matches_and_a_prompt_what_is_typed() {
    let mut stage = busy_stage();
    stage.look(100);
    stage.press("/FETCH\n");
    stage.press("bslow 1");
    assert_eq!(
        stage.text(80, 20),
        "\
mainspring  turn 1, 10 turns/s, busy 5 %, 1 ready (most 4)
4 tasks, 1 timer (next in 497 ms), 1 fd, 20 events, 20 kept


   ID NAME               STATE     WAITING FOR                FOR  POLLS    BUSY
    2 fetch /a/…h?page=2 idle      source 1 readable +1      2 ms      1    1 ms





task 2 \"fetch /a/rather/long/path?page=2\" from …e/src/HERE
  waiting for source 1 to become readable or timer #1 due in 497 ms
  1 poll, busy 1 ms, longest 1 ms; 0 wakes, 0 by itself; 2 of 2 wakers held
· task 3 \"evil�[2J�name\" is not ready yet: it waits
· task 4 \"\" is cancelled (handle)
· task 5 \"日 本 語  parse\" runs
· task 5 \"日 本 語  parse\" wakes task 3 \"evil�[2J�name\": it queues
filter: FETCH (Esc shows all)
break on 7, idle, timer_fired, slow 10ms: slow 1▏"
    );
}

#[test]
fn a_held_loop_says_why_and_that_the_world_went_on() {
    let mut stage = busy_stage();
    stage.channel.steer(|gate| {
        gate.break_on(Some(Break::Task(5)));
        gate.pause();
    });
    stage.look(5);
    assert_eq!(
        stage.screen(80, 24)[2..4],
        ["to be held at the next step", "breaks when a poll of task 5 is over"]
    );
    // This loop is not held, it only says that it would be held now.
    let mut gate = Gate::default();
    gate.break_on(Some(Break::Task(5)));
    let outcome = PollOutcome::Pending;
    let over = Kind::PollEnded { outcome, requeued: false, holders: 1 };
    assert!(gate.pass(&Event { at: 6 * MS, task: 5, kind: over }));
    stage.follow.pretend_held(Duration::from_millis(3_217), gate.hit().copied());
    assert_eq!(
        stage.screen(80, 24)[2..4],
        [
            "HELD for 3.2 s, the world went on",
            "broke because task 5 \"日 本 語  parse\" is not ready yet: it waits"
        ]
    );
}

#[test]
fn a_terminal_of_any_size_is_drawn_on() {
    let mut stage = busy_stage();
    stage.look(100);
    stage.look(100);
    for (width, height) in [(1, 1), (7, 3), (20, 5), (80, 9), (300, 100)] {
        assert_eq!(stage.screen(width, height).len(), usize::from(height));
    }
}
