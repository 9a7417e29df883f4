//! What the keys of the view do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::gate::Break;

/// What a person asks of the loop or of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Hold the loop, or let it go on if it is held.
    Pause,
    StepTurn,
    StepPoll,
    GoOn,
    Break(Option<Break>),
    Dump,
    Page,
    Quit,
    Interrupt,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Filter(String),
    Break(String),
}

/// Characters of a line at most.
const MAX_TYPED: usize = 60;

/// What the keys have brought about in the view itself.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) tree: bool,
    pub(super) filter: String,
    pub(super) prompt: Option<Prompt>,
    /// What came of the last key.
    pub(super) message: String,
    /// The task that is looked at closely; the first of the list if 0.
    pub(super) selected: u64,
    /// The list as it was last drawn.
    pub(super) rows: Vec<u64>,
    /// Tasks that fit on the screen.
    pub(super) page: usize,
}

impl Input {
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Ask> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control {
            // In the view a terminal sends these as keys, not as signals. Some send Ctrl-\ as Ctrl-4.
            return match key.code {
                KeyCode::Char('c') => Some(Ask::Interrupt),
                KeyCode::Char('\\' | '4') => Some(Ask::Dump),
                _ => None,
            };
        }
        if let Some(prompt) = self.prompt.take() {
            return self.typed(prompt, key.code);
        }
        self.message.clear();
        match key.code {
            KeyCode::Char(' ') => return Some(Ask::Pause),
            KeyCode::Char('s') => return Some(Ask::StepTurn),
            KeyCode::Char('p') => return Some(Ask::StepPoll),
            KeyCode::Char('c') => return Some(Ask::GoOn),
            KeyCode::Char('d') => return Some(Ask::Dump),
            KeyCode::Char('w') => return Some(Ask::Page),
            KeyCode::Char('q') => return Some(Ask::Quit),
            KeyCode::Char('b') => self.prompt = Some(Prompt::Break(String::new())),
            KeyCode::Char('/') => self.prompt = Some(Prompt::Filter(self.filter.clone())),
            KeyCode::Char('t') => self.tree = !self.tree,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Down | KeyCode::Char('j') => self.select(|at, _| at + 1),
            KeyCode::Up | KeyCode::Char('k') => self.select(|at, _| at.saturating_sub(1)),
            KeyCode::PageDown => self.select(|at, page| at + page),
            KeyCode::PageUp => self.select(|at, page| at.saturating_sub(page)),
            KeyCode::Home => self.selected = 0,
            KeyCode::End => self.select(|_, _| usize::MAX),
            _ => {}
        }
        None
    }

    fn typed(&mut self, mut prompt: Prompt, key: KeyCode) -> Option<Ask> {
        let (Prompt::Filter(line) | Prompt::Break(line)) = &mut prompt;
        match key {
            KeyCode::Esc => return None,
            KeyCode::Enter => return self.entered(prompt),
            KeyCode::Backspace => drop(line.pop()),
            KeyCode::Char(c) if line.chars().count() < MAX_TYPED => line.push(c),
            _ => {}
        }
        self.prompt = Some(prompt);
        None
    }

    fn entered(&mut self, prompt: Prompt) -> Option<Ask> {
        match prompt {
            Prompt::Filter(line) => self.filter = line.trim().to_owned(),
            Prompt::Break(line) if line.trim().is_empty() => return Some(Ask::Break(None)),
            Prompt::Break(line) => match Break::parse(&line) {
                Ok(on) => return Some(Ask::Break(Some(on))),
                Err(sentence) => self.message = sentence,
            },
        }
        None
    }

    /// Where the selected task is in the list.
    pub(super) fn position(&self) -> usize {
        self.rows.iter().position(|id| *id == self.selected).unwrap_or(0)
    }

    fn select(&mut self, to: impl FnOnce(usize, usize) -> usize) {
        let to = to(self.position(), self.page).min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(to).copied().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(input: &mut Input, keys: &str) -> Option<Ask> {
        let code = |c| match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        keys.chars().fold(None, |_, c| input.press(KeyEvent::from(code(c))))
    }

    #[test]
    fn every_key_asks_for_what_the_bottom_line_promises() {
        let input = &mut Input::default();
        let asks = [" ", "s", "p", "c", "d", "w", "q", "b\n"].map(|keys| typed(input, keys));
        use Ask::{Break, Dump, GoOn, Page, Pause, Quit, StepPoll, StepTurn};
        let all = [Pause, StepTurn, StepPoll, GoOn, Dump, Page, Quit, Break(None)];
        assert_eq!(asks, all.map(Some));
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        let asks = ['c', '\\', '4', 'x'].map(|c| input.press(control(c)));
        assert_eq!(asks, [Some(Ask::Interrupt), Some(Ask::Dump), Some(Ask::Dump), None]);
    }

    #[test]
    fn a_line_can_be_typed_mended_and_given_up() {
        let input = &mut Input::default();
        assert_eq!(typed(input, "btask 8\u{8}7\n"), Some(Ask::Break(Some(Break::Task(7)))));
        assert_eq!(typed(input, "/fetch\n"), None);
        assert_eq!((input.filter.as_str(), &input.prompt), ("fetch", &None));
        assert_eq!(typed(input, "/x\t"), None);
        assert_eq!(input.filter, "fetch");
        assert_eq!(typed(input, "\t"), None);
        assert_eq!(input.filter, "");
        assert_eq!(typed(input, "bq"), None);
        assert_eq!(input.prompt, Some(Prompt::Break("q".into())));
        assert_eq!(typed(input, &format!("{}\n", "x".repeat(99))), None);
        assert!(input.message.starts_with("cannot break on 'qxxx"), "{}", input.message);
        assert!(input.message.len() < 250);
    }

    #[test]
    fn the_selection_follows_its_task_and_stays_in_the_list() {
        let input = &mut Input { rows: vec![5, 3, 9], page: 2, ..Input::default() };
        let mut moved = |code| {
            input.press(KeyEvent::from(code));
            input.selected
        };
        use KeyCode::{Down, End, Home, PageDown, PageUp, Up};
        assert_eq!([Down, PageDown, Down, Up].map(&mut moved), [3, 9, 9, 3]);
        assert_eq!([End, PageUp, Home].map(&mut moved), [9, 5, 0]);
        input.selected = 9;
        input.rows = vec![9, 7];
        assert_eq!(input.position(), 0);
    }
}
