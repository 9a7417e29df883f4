//! The live view and the progress as a person sees them: on a terminal that tmux plays.
#![cfg(unix)]

mod cli_support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cli_support::Canned;

/// How long the screen may take to show what it must.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal of 80 by 24 with the demo on it.
struct Screen {
    socket: PathBuf,
}

impl Screen {
    /// Starts `crawl` with these arguments, or says that there is no tmux.
    fn start(name: &str, arguments: &str) -> Option<Screen> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("SKIPPED: tmux is not installed (Debian: apt-get install tmux)");
            return None;
        }
        let socket = format!("mainspring-{name}-{}.tmux", std::process::id());
        let screen = Screen { socket: std::env::temp_dir().join(socket) };
        // The shell keeps the terminal open, so that what is left on it can be seen.
        let program = env!("CARGO_BIN_EXE_crawl");
        let line = format!("'{program}' {arguments}; echo left with $?; read -r line");
        let size = ["-x", "80", "-y", "24"];
        screen.tmux(&[&["-f", "/dev/null", "new-session", "-d"], &size[..], &[&line]].concat());
        Some(screen)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").arg("-S").arg(&self.socket).args(arguments).output();
        String::from_utf8(output.expect("tmux runs").stdout).expect("tmux speaks UTF-8")
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// The screen once it holds all of these.
    fn shows(&self, texts: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if texts.iter().all(|text| screen.contains(text)) {
                return screen;
            }
            assert!(start.elapsed() < PATIENCE, "no {texts:?} on this screen:\n{screen}");
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        // Some versions remove it themselves.
        std::fs::remove_file(&self.socket).unwrap_or_default();
    }
}

#[test]
fn the_view_holds_steps_breaks_and_gives_the_terminal_back() {
    let Some(screen) = Screen::start("view", "--live --pages 3 --delay 2s") else { return };
    screen.shows(&["fetch /", "space hold·s turn·p poll"]);
    // The site is slow enough that the loop is caught before it is through.
    screen.press(&["Space"]);
    let held = screen.shows(&["HELD for", "the world went on", "main", "space hold·s turn·p poll"]);
    let lines: Vec<&str> = held.lines().collect();
    assert!(lines[0].starts_with("mainspring  turn "), "{held}");
    assert!(lines[4].starts_with("   ID NAME "), "{held}");
    screen.press(&["b"]);
    screen.shows(&["break on 7, idle, timer_fired, slow 10ms: ▏"]);
    screen.press(&["lunch", "Enter"]);
    screen.shows(&["cannot break on 'lunch': try 7, done, timer_fired or slow 10ms"]);
    screen.press(&["b"]);
    screen.press(&["done", "Enter"]);
    screen.shows(&["breaks when a task is done"]);
    screen.press(&["c"]);
    screen.shows(&["broke because task", "is done"]);
    screen.press(&["/"]);
    screen.press(&["no such task", "Enter"]);
    screen.shows(&["no task is shown", "filter: no such task"]);
    screen.press(&["Escape"]);
    screen.press(&["q"]);
    // To quit the view lets the loop go on; its result stands on the terminal as ever.
    screen.shows(&["failures", "left with 0"]);
}

#[test]
fn ctrl_c_in_the_view_stops_the_crawl_in_good_order() {
    let Some(screen) = Screen::start("stop", "--live --pages 3 --delay 2s") else { return };
    screen.shows(&["fetch /", "readable"]);
    screen.press(&["C-c"]);
    // What was in flight has come home, and the table stands on the terminal as ever.
    screen.shows(&["failures", "left with 130"]);
}

/// As when its window is closed. What watches must neither keep the process nor read on for ever.
#[test]
#[cfg(target_os = "linux")]
fn a_view_whose_terminal_goes_ends_with_its_crawl() {
    let Some(screen) = Screen::start("gone", "--live --pages 30 --delay 2s") else { return };
    screen.shows(&["fetch /", "readable"]);
    let shell = screen.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let shell = shell.trim();
    let children = format!("/proc/{shell}/task/{shell}/children");
    let children = std::fs::read_to_string(children).expect("the shell's children");
    let crawl = format!("/proc/{}/cmdline", children.trim());
    // Empty once it has ended, also where nothing asks how.
    let runs = || std::fs::read(&crawl).is_ok_and(|line| !line.is_empty());
    assert!(runs(), "{children:?}");
    screen.tmux(&["kill-server"]);
    let start = Instant::now();
    while runs() {
        assert!(start.elapsed() < PATIENCE, "{crawl} goes on without a terminal");
        std::thread::yield_now();
    }
}

#[test]
fn ctrl_backslash_prints_a_dump_and_the_crawl_goes_on() {
    let Some(screen) = Screen::start("dump", "--pages 3 --delay 2s") else { return };
    screen.shows(&["in flight"]);
    screen.press(&["C-\\"]);
    screen.shows(&["task 1 \"main\": pending, idle", "the loop goes on because:"]);
    screen.press(&["C-c"]);
    screen.shows(&["left with 130"]);
}

#[test]
fn what_a_watched_fetch_prints_comes_once_the_view_is_gone() {
    let (release, released) = mpsc::channel();
    let site = Canned::start(move |_| {
        // A test that has failed lets go of everything.
        released.recv().unwrap_or_default();
        Canned::page("<h1>here it is</h1>")
    });
    // Gone before the site, which would wait for it.
    let release = release;
    let arguments = format!("fetch {} {} --live --select h1", site.url("/a"), site.url("/b"));
    let Some(screen) = Screen::start("fetch", &arguments) else {
        // Nothing has been asked for.
        return;
    };
    screen.shows(&["fetch ht", "space hold·s turn·p poll"]);
    release.send(()).expect("it waits");
    let shown = screen.shows(&["space hold·s turn·p poll"]);
    assert!(!shown.contains("here it is"), "not into the view:\n{shown}");
    release.send(()).expect("it waits");
    let shown = screen.shows(&["2 pages, 0 failed", "left with 0"]);
    assert_eq!(shown.matches("here it is").count(), 2, "{shown}");
}

#[test]
fn results_and_progress_share_a_terminal() {
    let (release, released) = mpsc::channel();
    let site = Canned::start(move |_| {
        released.recv().unwrap_or_default();
        Canned::page("<h1>here it is</h1>")
    });
    let release = release;
    let arguments = format!("fetch {} {} --select h1", site.url("/a"), site.url("/b"));
    let Some(screen) = Screen::start("share", &arguments) else { return };
    screen.shows(&["0 of 2 pages, 2 in flight"]);
    release.send(()).expect("it waits");
    let shown = screen.shows(&["here it is", "1 of 2 pages"]);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "here it is", "{shown}");
    assert!(lines[1].contains(" 1 of 2 pages, "), "{shown}");
    release.send(()).expect("it waits");
    let shown = screen.shows(&["2 pages, 0 failed", "left with 0"]);
    assert_eq!(shown.matches("here it is").count(), 2, "{shown}");
    assert!(!shown.contains("in flight"), "the line is gone: {shown}");
}
