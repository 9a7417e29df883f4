//! The terminal of the view: taken at its start, given back at its end, whatever happens between.

#[cfg(unix)]
use std::fs::File;
use std::io::{self, BufWriter, Stderr};
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, KeyEvent};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(unix)]
use rustix::io::Errno;

use super::gate::Gate;
use super::input::{Ask, Input};
use super::screen::Picture;
use super::{FRAME, Watcher, say};

/// The screen, in raw mode.
pub(super) struct Terminal(ratatui::Terminal<CrosstermBackend<BufWriter<Stderr>>>);

impl Terminal {
    pub(super) fn open() -> io::Result<Terminal> {
        enable_raw_mode()?;
        let opened = execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| {
                ratatui::Terminal::new(CrosstermBackend::new(BufWriter::new(io::stderr())))
            })
            .map(Terminal);
        if opened.is_err() {
            restore();
        }
        opened
    }

    /// A key, if one is pressed within this time.
    ///
    /// # Errors
    /// The terminal has gone.
    fn key(&self, wait: Duration) -> io::Result<Option<KeyEvent>> {
        wait_for_input(wait)?;
        if !event::poll(Duration::ZERO)? {
            return Ok(None);
        }
        Ok(event::read()?.as_key_press_event())
    }
}

/// Waits until there is something to read of the terminal. One that has gone is not to be read: crossterm would
/// go on reading for ever.
#[cfg(unix)]
fn wait_for_input(limit: Duration) -> io::Result<()> {
    let is_stdin = io::IsTerminal::is_terminal(&io::stdin());
    let tty = File::open(if is_stdin { "/dev/stdin" } else { "/dev/tty" })?;
    let mut ready = [PollFd::new(&tty, PollFlags::IN)];
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut ready, Some(&limit)) {
        Err(error) if error != Errno::INTR => Err(error.into()),
        Ok(_) if ready[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => {
            Err(io::Error::other("its terminal has gone"))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn wait_for_input(limit: Duration) -> io::Result<()> {
    event::poll(limit).map(drop)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// What cannot be given back is lost with the terminal itself.
fn restore() {
    execute!(io::stderr(), LeaveAlternateScreen, cursor::Show).unwrap_or_default();
    disable_raw_mode().unwrap_or_default();
}

impl Watcher {
    /// Watches with a view until it is quit, then goes on without.
    pub(super) fn terminal(&self, mut terminal: Terminal) {
        let mut input = Input::default();
        let shown = self.view(&mut terminal, &mut input);
        drop(terminal);
        if let Err(error) = shown {
            say(&format!("mainspring: the view has ended: {error}"));
        }
        // Nothing is left to let it go on.
        self.release();
        self.lines(None);
    }

    fn view(&self, terminal: &mut Terminal, input: &mut Input) -> io::Result<()> {
        let watched = &*self.handle.watched;
        let mut drawn: Option<Instant> = None;
        let mut pressed = false;
        while !watched.is_over() {
            // What there is to say of slow polls is in the picture.
            drop(self.look());
            if pressed || drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
                self.draw(terminal, input)?;
                drawn = Some(Instant::now());
            }
            // Several may have been read at once.
            let key = terminal.key(if pressed { Duration::ZERO } else { self.period() })?;
            pressed = key.is_some();
            match key.and_then(|key| input.press(key)) {
                None => {}
                Some(Ask::Quit) => return Ok(()),
                Some(Ask::Interrupt) => {
                    self.options.interrupt.iter().for_each(|interrupt| interrupt());
                    return Ok(());
                }
                Some(ask) => input.message = self.serve(ask),
            }
        }
        // The last picture would be gone before it is seen.
        Ok(())
    }

    fn draw(&self, terminal: &mut Terminal, input: &mut Input) -> io::Result<()> {
        let watched = &*self.handle.watched;
        let mut follow = watched.follow();
        let now = watched.now();
        follow.sample(now);
        let picture = Picture { follow: &follow, now };
        terminal.0.draw(|frame| picture.draw(input, frame.area(), frame.buffer_mut()))?;
        Ok(())
    }

    /// Does what a key asks for, and says what came of it.
    fn serve(&self, ask: Ask) -> String {
        let handle = &self.handle;
        match ask {
            Ask::Pause => handle.watched.channel.steer(Gate::pause_or_go_on),
            Ask::StepTurn => handle.step_turn(),
            Ask::StepPoll => handle.step_poll(),
            Ask::GoOn => handle.go_on(),
            Ask::Break(on) => {
                handle.break_on(on);
                return on.map_or("breaks never".into(), |on| format!("breaks when {on}"));
            }
            Ask::Dump => {
                let text = handle.dump();
                return self.write("txt", |path| std::fs::write(path, &text));
            }
            Ask::Page => {
                let trace = handle.trace().titled(self.options.title.as_str());
                return self.write("html", |path| trace.write_html(path));
            }
            Ask::Quit | Ask::Interrupt => {}
        }
        String::new()
    }

    fn write(
        &self,
        extension: &str,
        write: impl FnOnce(&std::path::Path) -> io::Result<()>,
    ) -> String {
        let name = format!("mainspring-live-{}.{extension}", std::process::id());
        let path = self.options.directory.join(name);
        match write(&path) {
            Ok(()) => format!("written to {}", path.display()),
            Err(error) => format!("cannot write {}: {error}", path.display()),
        }
    }
}
