//! Runs each lesson and compares what it prints with what the README of this directory says.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Lines that a lesson may have at most.
const MAX_LINES: usize = 60;

/// A section of the README: the lesson's name, and the output that it promises.
fn promised() -> BTreeMap<String, Option<String>> {
    let readme = fs::read_to_string(here("README.md")).unwrap();
    let mut lessons = BTreeMap::new();
    for section in readme.split("\n### ").skip(1) {
        let name = section.lines().next().unwrap().trim_matches('`');
        let output = section.split_once("```text\n").map(|(_, rest)| {
            rest.split_once("```").expect("a block that is opened is closed").0.to_owned()
        });
        lessons.insert(name.to_owned(), output);
    }
    lessons
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A lesson, as cargo builds it beside this test: in `target/debug/examples/`, if this is
/// `target/debug/deps/lessons-…`. A run of this test alone (`--test lessons`) does not build it.
fn lesson(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    let built = built.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(built.exists(), "{built:?} is missing: `cargo build --examples` makes it");
    Command::new(built)
}

#[test]
fn the_readme_lists_every_lesson_and_every_lesson_is_short() {
    let mut lessons = Vec::new();
    for entry in fs::read_dir(here("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < MAX_LINES, "{name} has {lines} lines");
        lessons.push(name);
    }
    lessons.sort();
    assert_eq!(lessons, promised().into_keys().collect::<Vec<_>>());
}

#[test]
fn every_lesson_prints_what_the_readme_says() {
    let mut wrong = String::new();
    for (name, output) in promised() {
        let Some(output) = output else { continue };
        let ran = lesson(&name).output().unwrap();
        let (said, complained) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        if !ran.status.success() || said != output || !complained.is_empty() {
            wrong += &format!("--- {name}: {}\n{said}{complained}", ran.status);
        }
    }
    assert!(wrong.is_empty(), "not as the README says:\n{wrong}");
}

/// A lesson that serves until it is killed.
struct Server {
    child: Child,
    said: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(name: &str) -> Server {
        let mut child = lesson(name).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("listening on ").trim_start_matches("http://");
        Server { child, said, address: address.to_owned() }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// Sends a request and reads until the server closes.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_echo_server_serves_two_at_once() {
    let mut server = Server::start("echo_server");
    let (mut first, second) = (server.connect(), server.connect());
    // The first stays open and has its answer while the second has its own.
    for (mut stream, text) in [(&first, "one"), (&second, "two"), (&first, "three")] {
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, text.as_bytes());
    }
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0, "it closes when we are through");
    let mut line = String::new();
    server.said.read_line(&mut line).unwrap();
    assert_eq!(line, "echoed 8 bytes\n");
}

#[test]
fn the_hello_server_greets_by_name() {
    let server = Server::start("hello_server");
    let answer = |status, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    };
    let get = |path| format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
    assert_eq!(server.ask(&get("/")), answer("200 OK", "Hello, world\n"));
    assert_eq!(server.ask(&get("/Ada")), answer("200 OK", "Hello, Ada\n"));
    let refused = answer("400 Bad Request", "GET /name, please\n");
    assert_eq!(server.ask("POST / HTTP/1.1\r\n\r\n"), refused);
    assert_eq!(server.ask("\0\r\n\r\n"), refused);

    let mut slow = server.connect();
    slow.write_all(b"GET /slow").unwrap();
    assert_eq!(server.ask(&get("/quick")), answer("200 OK", "Hello, quick\n"), "meanwhile");
    slow.write_all(b"poke HTTP/1.1\r\n\r\n").unwrap();
    let mut said = String::new();
    slow.read_to_string(&mut said).unwrap();
    assert_eq!(said, answer("200 OK", "Hello, slowpoke\n"));
}
