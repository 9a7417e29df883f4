//! What the tests of the binary share: running it, a site to run it against, a directory to write
//! to.

#![allow(dead_code, reason = "each of the test binaries uses a part of this")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The binary with these arguments.
pub fn crawl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crawl"));
    without_proxies(command.args(args).stdin(Stdio::null()));
    command
}

/// Keeps from a program which proxies this machine goes through: that is not what is tested.
pub fn without_proxies(command: &mut Command) {
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
}

/// Has `kill` send a signal to a run of the binary.
#[cfg(unix)]
pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// The path that a request's head asks for.
pub fn path_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// What was printed per page, without sizes and times.
pub fn pages(stdout: &str) -> Vec<String> {
    let page = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {}", words[0], words.last().expect("an address"))
    };
    stdout.lines().map(page).collect()
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Ran {
    let output = crawl(args).output().expect("the binary runs");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// What a run of the binary shows on a terminal that is so many columns wide.
pub fn on_a_terminal(columns: u32, args: &[&str]) -> String {
    let words = [&[env!("CARGO_BIN_EXE_crawl")], args].concat();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let mut script = Command::new("script");
    let command = format!("stty rows 24 cols {columns}; {}", quoted.join(" "));
    without_proxies(script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()));
    let output = script.output().expect("script(1) gives it a terminal");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `crawl serve` on a free port, without delay, for as long as this lives.
pub struct Site {
    child: Child,
    base: String,
}

impl Site {
    pub fn start(args: &[&str]) -> Site {
        Site::of(crawl(&["serve", "--delay", "0ms"]).args(args))
    }

    /// What this run of `crawl serve` serves.
    pub fn of(serve: &mut Command) -> Site {
        let mut child = serve
            .args(["--listen", "127.0.0.1:0", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let base = line.strip_prefix("listening on ").and_then(|rest| rest.split("/:").next());
        let base = base.expect("it says where it listens").to_owned();
        Site { child, base }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn address(&self) -> &str {
        self.base.strip_prefix("http://").expect("an address")
    }

    /// Closes its standard input, upon which it ends by itself.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }
}

/// A directory of a test's own, taken away with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("crawl-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the scratch directory is ours");
    }
}

/// A site that gives canned answers, one request for each connection.
pub struct Canned {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Canned {
    /// Answers what `answer` says to each request's head. After a request that holds `/slow`, it
    /// goes on when the client has left.
    pub fn start<A: Into<Vec<u8>>>(mut answer: impl FnMut(&str) -> A + Send + 'static) -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map(|stream| stream.expect("a connection")) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    match reader.read_line(&mut head) {
                        Ok(1..) => {}
                        _ => break,
                    }
                }
                // A client that has given up is what some of the tests are about.
                let answered = reader.get_mut().write_all(&answer(&head).into());
                if answered.is_ok() && head.contains("/slow") {
                    std::io::copy(&mut reader, &mut std::io::sink()).unwrap_or_default();
                }
            }
        });
        Canned { address, over, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// An answer with this body, after which the connection closes.
    pub fn page(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Many hosts behind one proxy: each request's URL finds its answer, and its head is noted.
pub struct Hosts {
    canned: Canned,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Hosts {
    pub fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Hosts {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = heads.clone();
        let canned = Canned::start(move |head| {
            noted.lock().expect("no panic").push(head.to_owned());
            answer(path_of(head))
        });
        Hosts { canned, heads }
    }

    /// Where it listens, as the URL of a proxy.
    pub fn url(&self) -> String {
        self.canned.url("")
    }

    /// Forgets what it was asked for.
    pub fn forget(&self) {
        self.heads.lock().expect("no panic").clear();
    }

    /// Runs the binary with all its requests going here; from what it was asked before, nothing is
    /// left.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.forget();
        run(&[args, &["-x", &self.canned.url("")]].concat())
    }

    /// The URLs that were asked for, robots.txt left out.
    pub fn asked(&self) -> Vec<String> {
        let heads = self.heads();
        let urls = heads.iter().map(|head| path_of(head).to_owned());
        urls.filter(|url| !url.ends_with("/robots.txt")).collect()
    }

    /// The heads of the requests.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

/// An answer that redirects.
pub fn moved(status: u16, to: &str) -> String {
    format!(
        "HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// An answer without a body.
pub fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // The thread waits for a connection: this one tells it to look.
        TcpStream::connect(self.address).expect("it listens");
        self.thread.take().expect("once").join().expect("no panic");
    }
}
