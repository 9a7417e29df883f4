//! The servers that HTTP clients are measured against, each in a process of its own: nginx, and a
//! server that answers after one second.

use crate::scenarios::wait;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll as Poller, Token};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The variable by which child processes learn where nginx listens.
pub const NGINX: &str = "MAINSPRING_BENCHES_NGINX";
/// How long the slow server waits with each answer.
pub const DELAY: Duration = Duration::from_secs(1);
/// The length of the small page.
pub const SMALL: usize = 1 << 10;
/// The length of the large page.
pub const LARGE: usize = 1 << 20;
/// The length of the page that is sent so slowly that it takes more than a second.
pub const LATE: usize = 2 << 10;
/// The length of the page that no client should hold.
pub const HUGE: usize = 1 << 30;

static PLACE: OnceLock<Result<Place, String>> = OnceLock::new();

/// Where nginx listens.
#[derive(Debug, Clone)]
struct Place {
    plain: SocketAddr,
    tls: SocketAddr,
    /// Its certificate, as PEM, in a file.
    certificate: PathBuf,
}

/// A process that ends with this value.
#[derive(Debug)]
pub struct Running {
    child: Child,
    directory: Option<PathBuf>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("a server of the benches may still run: {error}");
        }
        if let Some(directory) = &self.directory
            && let Err(error) = std::fs::remove_dir_all(directory)
        {
            eprintln!("{} is left behind: {error}", directory.display());
        }
    }
}

/// Why there is no nginx to measure against, if there is none.
pub fn no_nginx() -> Option<String> {
    place().err()
}

/// Where nginx listens for plain HTTP.
///
/// # Errors
/// Why there is none, for a person.
pub fn nginx() -> Result<SocketAddr, String> {
    place().map(|place| place.plain)
}

/// Where nginx listens for HTTPS, and its certificate, as PEM.
///
/// # Errors
/// Why there is none, for a person.
pub fn nginx_tls() -> Result<(SocketAddr, Vec<u8>), String> {
    let Place { tls, certificate, .. } = place()?;
    let read = std::fs::read(&certificate);
    let pem = read.map_err(|error| format!("{}: {error}", certificate.display()))?;
    Ok((tls, pem))
}

fn place() -> Result<Place, String> {
    PLACE.get_or_init(|| told().ok_or("nginx was not started".into())).clone()
}

/// What the value of [`NGINX`] is to be for a child process.
pub fn told_to_children() -> String {
    let text = |Place { plain, tls, certificate }: Place| {
        format!("{plain} {tls} {}", certificate.display())
    };
    place().map_or(String::new(), text)
}

fn told() -> Option<Place> {
    let text = std::env::var(NGINX).ok()?;
    let (plain, rest) = text.split_once(' ')?;
    let (tls, certificate) = rest.split_once(' ')?;
    let (plain, tls) = (plain.parse().ok()?, tls.parse().ok()?);
    Some(Place { plain, tls, certificate: certificate.into() })
}

/// Starts nginx for this process and its children; it ends with what is returned.
pub fn start_nginx() -> Option<Running> {
    let started = launch_nginx();
    let (place, running) = match started {
        Ok((place, running)) => (Ok(place), Some(running)),
        Err(error) => (Err(format!("nginx does not start ({error}); is nginx installed?")), None),
    };
    PLACE.get_or_init(|| place);
    running
}

fn launch_nginx() -> io::Result<(Place, Running)> {
    let directory = std::env::temp_dir().join(format!("mainspring-nginx-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("small"), vec![b'x'; SMALL])?;
    std::fs::write(directory.join("large"), vec![b'x'; LARGE])?;
    std::fs::write(directory.join("late"), vec![b'x'; LATE])?;
    // It reads as zeros, and takes no room.
    std::fs::File::create(directory.join("huge"))?.set_len(HUGE as u64)?;
    let place = place_of(&directory)?;
    std::fs::write(directory.join("nginx.conf"), configuration(&directory, &place))?;
    let child = Command::new("nginx")
        .arg("-p")
        .arg(&directory)
        .arg("-c")
        .arg(directory.join("nginx.conf"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let running = Running { child, directory: Some(directory) };
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = std::net::TcpStream::connect(place.plain) {
        if Instant::now() > deadline {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok((place, running))
}

/// Where it is to listen, with a certificate that is made for it.
fn place_of(directory: &Path) -> io::Result<Place> {
    // Port 0 is not for nginx, so it gets two that were free a moment ago.
    let free = || std::net::TcpListener::bind("127.0.0.1:0");
    let (plain, tls) = (free()?, free()?);
    let (plain, tls) = (plain.local_addr()?, tls.local_addr()?);
    let certified =
        rcgen::generate_simple_self_signed([tls.ip().to_string()]).map_err(io::Error::other)?;
    let certificate = directory.join("certificate.pem");
    std::fs::write(&certificate, certified.cert.pem())?;
    std::fs::write(directory.join("key.pem"), certified.signing_key.serialize_pem())?;
    Ok(Place { plain, tls, certificate })
}

fn configuration(directory: &Path, Place { plain, tls, certificate }: &Place) -> String {
    let (directory, certificate) = (directory.display(), certificate.display());
    let late = "location /late { limit_rate 1k; }";
    format!(
        "daemon off; master_process off; error_log stderr crit; pid {directory}/pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n\
           access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
           keepalive_requests 100000000; keepalive_timeout 600s; open_file_cache max=8;\n\
           client_body_temp_path {directory}/1; proxy_temp_path {directory}/2;\n\
           fastcgi_temp_path {directory}/3; uwsgi_temp_path {directory}/4;\n\
           scgi_temp_path {directory}/5;\n\
           ssl_certificate {certificate}; ssl_certificate_key {directory}/key.pem;\n\
           server {{ listen {plain} backlog=4096; root {directory}; {late} }}\n\
           server {{ listen {tls} ssl backlog=4096; root {directory}; {late} }}\n\
         }}\n"
    )
}

/// Starts the slow server on a fresh port: the ports of the last round's connections are still
/// waiting for stragglers, and there are not enough for many rounds against one address.
///
/// # Errors
/// Why it does not start.
pub fn start_slow() -> io::Result<(SocketAddr, Running)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--no-peers", "--serve-slowly"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    let running = Running { child, directory: None };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().map_err(io::Error::other)?;
    Ok((address, running))
}

/// The slow server: answers every request after [`DELAY`]; runs until it is killed.
///
/// It is a loop over the poller, so that what is measured is the client.
///
/// # Errors
/// What the operating system says.
pub fn serve_slowly() -> io::Result<()> {
    const LISTENER: Token = Token(usize::MAX);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    // All clients come at once; those that do not fit would try again a second later.
    rustix::net::listen(&listener, 16_384)?;
    println!("{}", listener.local_addr()?);
    let page = vec![b'x'; SMALL];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SMALL}\r\n\r\n");
    let answer = [head.as_bytes(), &page].concat();
    let mut poller = Poller::new()?;
    let mut events = Events::with_capacity(1024);
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    // Every answer is delayed alike, so they fall due in the order of the requests.
    let mut due: VecDeque<(Instant, usize)> = VecDeque::new();
    poller.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        let timeout = due.front().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        wait(&mut poller, &mut events, timeout);
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let token = Token(streams.len());
                    poller.registry().register(&mut stream, token, Interest::READABLE)?;
                    streams.push(Some(stream));
                }
                continue;
            }
            let index = event.token().0;
            let mut request = [0; 2048];
            let read = streams[index].as_mut().map(|stream| stream.read(&mut request));
            match read {
                Some(Ok(n)) if request[..n].ends_with(b"\r\n\r\n") => {
                    due.push_back((Instant::now() + DELAY, index));
                }
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                _ => streams[index] = None,
            }
        }
        let now = Instant::now();
        while let Some(&(at, index)) = due.front()
            && at <= now
        {
            due.pop_front();
            if let Some(stream) = &mut streams[index] {
                stream.write_all(&answer)?;
            }
        }
    }
}

/// The user and system time of the children that have ended, in seconds.
pub fn children_cpu() -> f64 {
    // Fields 16 and 17 of proc_pid_stat(5), in ticks of 10 ms; the name in field 2 may hold
    // spaces, so count from behind it.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        rest.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
