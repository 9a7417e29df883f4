//! The built binary, from the outside: what it prints, what it writes, how it ends.

mod cli_support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::Stdio;

#[cfg(unix)]
use cli_support::signal;
use cli_support::{Scratch, Site, crawl, on_a_terminal, run};
use mainspring_examples::site::movies::Movie;

/// The rows of a table, cells separated by one space, for those whose name is asked for.
fn rows(stdout: &str, names: &[&str]) -> Vec<String> {
    let squeezed = stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    squeezed.filter(|line| names.iter().any(|name| line.starts_with(name))).collect()
}

#[test]
fn the_demo_crawls_the_whole_site_and_says_what_it_took() {
    let ran = run(&["--pages", "60", "--delay", "0ms", "--concurrency", "7", "--no-trace"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        rows(&ran.stdout, &["60 movies", "pages", "failures", "in flight", "connections"]),
        [
            "60 movies, 0 s before each answer, up to 7 pages at once, one thread",
            "pages 64 1 front, 3 lists, 60 movies",
            "failures 0",
            "in flight 7 the most at once",
            "connections 7 opened; reused 57 times",
        ]
    );
    for name in ["wall time", "ideal", "overhead", "movies alone", "turns", "polls", "parked"] {
        assert_eq!(rows(&ran.stdout, &[name]).len(), 1, "{name}: {}", ran.stdout);
    }
    let tasks = rows(&ran.stdout, &["tasks"]).concat();
    assert!(tasks.starts_with("tasks 66 64 done, 1 cancelled"), "64 pages and progress: {tasks}");
}

#[test]
fn what_the_demo_writes_is_the_catalogue_in_order() {
    let scratch = Scratch::new("out");
    let out = scratch.path("a/b");
    let ran = run(&["--pages", "27", "--delay", "0ms", "--out", &out, "--no-trace"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.ends_with(&format!("\n  27 movies written to {out}\n")), "{}", ran.stdout);
    let catalogue: Vec<Movie> = (1..=27).map(Movie::with_id).collect();
    let lines = fs::read_to_string(format!("{out}/movies.jsonl")).expect("movies.jsonl");
    let read: Vec<Movie> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a movie")).collect();
    assert_eq!(read, catalogue);
    let csv = csv::Reader::from_path(format!("{out}/movies.csv")).expect("movies.csv");
    let read: Vec<Movie> = csv.into_deserialize().map(|row| row.expect("a movie")).collect();
    assert_eq!(read, catalogue);
    for movie in &catalogue {
        let text = fs::read_to_string(format!("{out}/{}.json", movie.id)).expect("a movie's file");
        assert_eq!(&serde_json::from_str::<Movie>(&text).expect("a movie"), movie);
    }
    let names = fs::read_dir(&out).expect("the directory");
    assert_eq!(names.count(), 29, "and nothing else");
}

#[test]
fn states_shows_every_task_from_pending_to_done() {
    let ran = run(&["--pages", "2", "--delay", "0ms", "--states", "--no-trace"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for page in ["/", "/list?start=0", "/detail/1", "/detail/2"] {
        let name = format!("\"fetch {page}\"");
        let changes: Vec<&str> = ran
            .stdout
            .lines()
            .filter(|line| line.contains(&name))
            .map(|line| line.rsplit("  ").next().expect("the change"))
            .collect();
        assert_eq!(changes.first(), Some(&"→pending"), "{page}");
        assert_eq!(changes.last(), Some(&"running→done"), "{page}");
        let mut between = changes[1..changes.len() - 1].chunks(2);
        assert!(
            between.all(|pair| pair == ["pending→running", "running→pending"]
                || pair == ["pending→running"]),
            "{page}: {changes:?}"
        );
    }
}

#[test]
fn the_page_of_a_run_is_where_it_says() {
    let scratch = Scratch::new("trace");
    let page = scratch.path("run.html");
    let ran = run(&["--pages", "2", "--delay", "0ms", "--trace", &page]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with(&format!("\n  every step of this run: {page}\n")));
    let html = fs::read_to_string(&page).expect("the page");
    assert!(html.starts_with("<!doctype html>") && html.contains("fetch /detail/2"));
    let data = scratch.path("run.json");
    let ran = run(&["--pages", "2", "--delay", "0ms", "--trace", &data]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let trace = mainspring_microscope::Trace::read(&data).expect("a trace");
    assert!(trace.to_json().contains("fetch /detail/2"));
    // A page of it, beside it or where it is wanted.
    let ran = run(&["page", &data]);
    let beside = data.replace(".json", ".html");
    assert_eq!((ran.code, ran.stdout), (0, format!("{beside}\n")), "{}", ran.stderr);
    assert!(fs::read_to_string(&beside).expect("a page").contains("fetch /detail/2"));
    // With the lines of source in which its tasks were spawned, if it is told where that lies.
    assert!(!fs::read_to_string(&beside).expect("a page").contains("id=\"sources\""));
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let ran = run(&["page", &data, "--source", root]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let html = fs::read_to_string(&beside).expect("a page");
    let quoted = html.split_once("id=\"sources\">").map_or("", |(_, rest)| rest);
    assert!(quoted.starts_with("{\"examples/src/") && quoted.contains("spawn"), "{quoted:.300}");
    // For other viewers, and as text.
    let chrome = scratch.path("chrome.json");
    assert_eq!(run(&["page", &data, "-o", &chrome]).code, 0);
    let json = fs::read_to_string(&chrome).expect("a trace of Chrome's");
    assert!(json.contains("\"traceEvents\":[") && json.contains("fetch /detail/2"));
    let ran = run(&["page", &data, "-o", &data]);
    assert!(ran.code == 1 && ran.stderr.contains("is a trace that is read"), "{}", ran.stderr);
    let text = scratch.path("run.txt");
    assert_eq!(run(&["page", &data, "-o", &text]).code, 0);
    assert!(fs::read_to_string(&text).expect("a text").starts_with("turn "));
    let ran = run(&["page", &data, &data, "-o", &text]);
    assert!(ran.code == 1 && ran.stderr.contains("several traces"), "{}", ran.stderr);
    let both = scratch.path("both.html");
    let ran = run(&["page", &data, &data, "-o", &both]);
    assert_eq!((ran.code, ran.stdout), (0, format!("{both}\n")), "{}", ran.stderr);
    let ran = run(&["page", &both]);
    assert!(ran.code == 1 && ran.stderr.contains("this is no mainspring trace"), "{}", ran.stderr);
    let side_by_side = scratch.path("ways.html");
    let ran = run(&["compare", "--pages", "2", "--delay", "0ms", "--trace", &side_by_side]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let html = fs::read_to_string(&side_by_side).expect("the page");
    assert!(html.contains("fake async") && html.contains("sequential"));
    let ran = run(&["--pages", "1", "--delay", "0ms", "--trace", "/no/such/place"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("crawl: cannot write /no/such/place: "), "{}", ran.stderr);
}

#[test]
fn compare_and_sweep_print_a_row_for_each() {
    let ran = run(&["compare", "--pages", "4", "--delay", "0ms", "--threads", "2"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for way in ["sequential", "fake async", "2 threads", "concurrent", "loop per core"] {
        assert_eq!(rows(&ran.stdout, &[way]).len(), 2, "a row and a reason: {}", ran.stdout);
    }
    let ran = run(&["sweep", "--at", "1,3,5", "--delay", "0ms"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("the site runs in a thread of this process"), "{}", ran.stdout);
    assert_eq!(rows(&ran.stdout, &["1 ", "3 ", "5 "]).len(), 3, "{}", ran.stdout);
}

#[cfg(unix)]
#[test]
fn where_descriptors_are_few_the_site_moves_out_and_the_sweep_goes_as_far_as_it_can() {
    let script = "ulimit -n 200 && exec \"$0\" sweep --at 50,100,1000 --delay 0ms";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_crawl")])
        .output()
        .expect("a shell");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("the site runs in a process of its own"), "{stdout}");
    assert_eq!(rows(&stdout, &["50 ", "100 ", "136 "]).len(), 3, "{stdout}");
    let said = "1,000 at once were asked for; this machine allows a process 200 descriptors";
    assert_eq!(rows(&stdout, &[said]).len(), 1, "{stdout}");
}

#[test]
fn every_mistake_is_one_line_and_an_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let scratch = Scratch::new("mistakes");
    fs::write(scratch.path("file"), "").expect("a file");
    let file = scratch.path("file");
    for (args, code, stderr) in [
        (
            vec!["--frob"],
            2,
            "crawl: unexpected argument '--frob' found; see crawl --help\n".to_owned(),
        ),
        (
            vec!["--delay", "-1s"],
            2,
            "crawl: invalid value '-1s' for '--delay <TIME>': a duration cannot be negative; \
             write it like 250ms, 1.5s or 2m; see crawl --help\n"
                .to_owned(),
        ),
        (
            vec!["fetch", "http://["],
            2,
            "crawl: invalid value 'http://[' for '<URL>...': invalid IPv6 address; see crawl \
             fetch --help\n"
                .to_owned(),
        ),
        (
            vec!["serve", "--listen", &taken],
            1,
            format!(
                "crawl: cannot listen on {taken}: somebody else does; port 0 takes any that is \
                 free\n"
            ),
        ),
        (
            vec!["--delay", "0ms", "--out", &file],
            1,
            format!("crawl: cannot write to {file}: File exists (os error 17)\n"),
        ),
    ] {
        let ran = run(&args);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr), (code, "", stderr), "{args:?}");
    }
}

/// A line that wraps could not be renewed.
#[test]
fn progress_is_as_wide_as_the_terminal_and_no_wider() {
    for columns in [20, 40, 79, 120] {
        let args = ["--pages", "3", "--delay", "250ms", "--concurrency", "1", "--no-trace"];
        let shown = on_a_terminal(columns, &args);
        let frames: Vec<&str> =
            shown.split(['\r', '\n']).filter(|frame| frame.contains('░')).collect();
        assert!(frames.len() > 2, "{columns}: {shown:?}");
        for frame in frames {
            let visible = frame.split('\x1b').map(|piece| match piece.strip_prefix('[') {
                Some(rest) => {
                    rest.trim_start_matches(|c: char| c.is_ascii_digit()).chars().skip(1).count()
                }
                None => piece.chars().count(),
            });
            assert!(visible.sum::<usize>() <= columns as usize, "{columns}: {frame:?}");
        }
    }
}

#[test]
fn help_shows_examples_and_goes_to_stdout() {
    let ran = run(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("\nExamples:\n  crawl  "), "{}", ran.stdout);
}

#[test]
fn a_reader_that_leaves_early_is_no_panic() {
    let mut child = crawl(&["--delay", "0ms", "--states"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
    let status = child.wait().expect("it ends");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn ctrl_c_drains_what_is_in_flight_and_still_prints_the_table() {
    let mut child =
        crawl(&["--pages", "100000", "--delay", "1ms", "--concurrency", "2", "--states"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut lines = stdout.by_ref().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.contains("running→done")), "the first page is over");
    signal(&child, "-INT");
    let rest: Vec<String> = stdout.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let rest = rest.join("\n");
    assert_eq!(rows(&rest, &["failures"]), ["failures 0"]);
    assert_eq!(rows(&rest, &["stopped"]).len(), 1, "{rest}");
}

#[cfg(unix)]
#[test]
fn ctrl_backslash_tells_what_every_task_is_doing() {
    let mut child = crawl(&["--delay", "1h", "--states"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
    let waits = "\"fetch /\"  running→pending";
    assert!(stdout.any(|line| line.expect("text").ends_with(waits)));
    signal(&child, "-QUIT");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
    assert!(stderr.any(|line| line.expect("text").contains("fetch /")), "the dump has it");
    child.kill().expect("it goes on");
    child.wait().expect("it ends");
}

#[test]
fn live_without_a_terminal_is_plain_lines_and_the_same_table() {
    let ran = run(&["--pages", "2", "--delay", "0ms", "--live"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(rows(&ran.stdout, &["pages"]), ["pages 4 1 front, 1 lists, 2 movies"]);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}

#[test]
fn serve_answers_and_ends_with_its_parent() {
    let site = Site::start(&["--pages", "3"]);
    let ran = run(&["fetch", &site.url("/hello/World"), "--user-agent", "me"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("200       13 B"), "{}", ran.stdout);
    site.end();
}
