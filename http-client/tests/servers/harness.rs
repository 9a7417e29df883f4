//! Starts a server of somebody else's, waits until it accepts connections, and ends it with all
//! its children when the test is over.

use crate::tls_server::Authority;
use mainspring_http::{Client, ClientBuilder};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to accept its first connection, on a machine that is busy.
const STARTUP: Duration = Duration::from_secs(60);

/// Whether all these programs are installed. If not, the test is over: it says so, or fails where
/// every server has to be there.
pub fn installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&&str| {
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
            || Path::new("/usr/sbin").join(program).is_file()
    };
    let missing: Vec<&str> =
        programs.iter().filter(|program| !is_there(program)).copied().collect();
    missing.is_empty() || skip(&format!("{} is not installed", missing.join(", ")))
}

/// Whether the Python in `PATH` has this module.
pub fn has_module(module: &str) -> bool {
    installed(&["python3"])
        && (Command::new("python3")
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
            || skip(&format!("python3 has no module {module}")))
}

#[expect(clippy::explicit_write, reason = "the test harness keeps what `eprintln` says to itself")]
fn skip(reason: &str) -> bool {
    let required = std::env::var("MAINSPRING_SERVERS").is_ok_and(|value| value == "required");
    assert!(!required, "{reason}, and every server is required");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "{test}: skipped, as {reason}").unwrap();
    false
}

/// An address that no other server of this run has, with a port that is free on it.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 255, "more servers than addresses");
    let process = std::process::id();
    // 127.0.x.y is left to those who think that it is the whole of the loopback network.
    let (high, low) = (1 + process / 250 % 250, process % 250);
    let octet = |value: u32| u8::try_from(value).expect("a remainder of 250, and one");
    let ip = Ipv4Addr::new(127, octet(high), octet(low), number);
    TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()).expect("loopback")
}

/// A directory that goes with the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("servers-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, in a directory of its own if its name says so. Its whole path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a name in a directory")).unwrap();
        fs::write(&path, content).unwrap();
        path.into_os_string().into_string().expect("paths of tests are UTF-8")
    }

    /// Writes `name.pem` and `name.key`, with a certificate for `a.test`.
    pub fn write_certificate(&self, name: &str, authority: &Authority) {
        let (chain, key) = authority.issue("a.test", |_| ());
        self.write(&format!("{name}.pem"), chain);
        self.write(&format!("{name}.key"), key);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A server that dies just now may still write to it; what is left is in the target
        // directory.
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// A server, running.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    directory: Directory,
}

impl Server {
    /// Starts `command`, whose server listens on `address`, and waits until it does.
    pub fn start(directory: Directory, address: SocketAddr, mut command: Command) -> Self {
        let output = fs::File::create(directory.path().join("output")).unwrap();
        command
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // A group of its own, so that its children end with it.
            .process_group(0);
        if command.get_args().all(|argument| argument != "-quiet") {
            command.stdin(Stdio::null());
        }
        let child = command.spawn().expect("it is installed");
        let mut server = Self { child, address, directory };
        server.wait_until_it_accepts(address);
        server
    }

    /// Waits until it accepts connections at another of its ports, too: it opens one after the other.
    pub fn and_at(mut self, port: u16) -> Self {
        self.wait_until_it_accepts(SocketAddr::new(self.address.ip(), port));
        self
    }

    fn wait_until_it_accepts(&mut self, address: SocketAddr) {
        let began = Instant::now();
        loop {
            if TcpStream::connect(address).is_ok() {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > STARTUP {
                panic!("the server did not start ({ended:?}): {}", self.output());
            }
            // Not to take the processor from the server that is waited for.
            std::thread::yield_now();
        }
    }

    /// What it has written to standard output and standard error.
    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output")).unwrap_or_default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The URL of a path on another port of the same server, by the name in its certificate.
    pub fn secure_url(&self, port: u16, path: &str) -> String {
        format!("https://a.test:{port}{path}")
    }

    /// Its standard input, if it was started with a pipe there.
    pub fn input(&mut self) -> &mut std::process::ChildStdin {
        self.child.stdin.as_mut().expect("it was started with a pipe")
    }

    /// Ends it, at once.
    pub fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        // The standard library ends one process only, and has no other signal.
        let told = Command::new("sh").args(["-c", "kill -KILL \"$0\"", &group]).output().unwrap();
        // A group of which nobody is left has ended by itself.
        if told.status.success() {
            self.child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server said: {}", self.output());
        }
        self.kill();
    }
}

/// A client that trusts `authority` alone, and knows `a.test` to be `server`.
pub fn trusting(authority: &Authority, server: &Server) -> ClientBuilder {
    Client::builder()
        .only_added_root_certificates()
        .add_root_certificates(authority.pem.as_bytes())
        .unwrap()
        .resolve("a.test", &[server.address.ip()])
}

/// Text that is longer than one read, and shrinks well.
pub fn long_text() -> String {
    (0..20_000).map(|line| format!("line {line} of a text that is long\n")).collect()
}

pub async fn text(client: &Client, url: &str) -> Result<String, mainspring_http::Error> {
    client.get(url).send().await?.text().await
}
