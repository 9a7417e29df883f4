//! Watching a loop while it runs, from a thread of its own that goes on when the loop is blocked.
//!
//! ```text
//!  loop's thread                              watching thread
//!  LiveObserver ──► Recorder                  Follow: model, texts, rates
//!       └──── events, in batches ───────────► │  every 5 ms: is a poll too slow?
//!             (channel.rs)                    └─ every 100 ms: draw (screen.rs), or a line a second
//!       ◄──── hold, step, go on (gate.rs) ─── keys (terminal.rs), or a Handle
//! ```
//!
//! The observer costs the loop a lock that hardly any other wants, and a copy of 32 bytes, per event.
//! Without a [`Live`] there is nothing of all this.
//!
//! ```
//! use std::time::Duration;
//! use mainspring_microscope::{Recorder, live::{Live, Options, Show}};
//!
//! let recorder = Recorder::default();
//! let options = Options { slow_poll: Some(Duration::from_millis(10)), ..Options::default() };
//! let live = Live::start(&recorder, Show::Nothing, options)?;
//! let mut runtime = mainspring::Runtime::builder().observer(live.observer()).build()?;
//! runtime.block_on(async {
//!     mainspring::spawn_named("a child", std::future::pending::<()>());
//!     mainspring::future::yield_now().await;
//!     assert!(live.handle().dump().contains("a child"));
//! });
//! # std::io::Result::Ok(())
//! ```

mod channel;
mod follow;
mod gate;
#[cfg(feature = "live")]
mod input;
#[cfg(feature = "live")]
mod screen;
#[cfg(all(unix, feature = "live"))]
mod signal;
mod status;
#[cfg(feature = "live")]
mod table;
#[cfg(feature = "live")]
mod terminal;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use channel::LiveObserver;
pub use gate::Break;
#[cfg(all(unix, feature = "live"))]
pub use signal::dump_on_quit;

use crate::recorder::Recorder;
use crate::trace::Trace;
use channel::Channel;
use follow::Follow;
use gate::Gate;

/// Polls that last longer than this are told of, unless [`Options::slow_poll`] says otherwise.
pub const SLOW_POLL: Duration = Duration::from_millis(10);

/// Between two looks at a loop whose polls are watched.
const LOOK: Duration = Duration::from_millis(5);

/// Between two looks at a loop of which nothing is shown and no poll is watched; between two pictures.
const FRAME: Duration = Duration::from_millis(100);

/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(1);

/// Where to show what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Nowhere: for [`Handle::dump`], and for slow polls, of which stderr is told in any case.
    Nothing,
    /// A line a second on stderr.
    Lines,
    /// A view on the terminal that stdin and stderr are, drawn to stderr. Keys steer the loop.
    #[cfg(feature = "live")]
    Terminal,
}

impl Show {
    /// The view if there is a terminal for it, lines otherwise.
    pub fn best() -> Show {
        #[cfg(feature = "live")]
        {
            use io::IsTerminal as _;
            if io::stdin().is_terminal() && io::stderr().is_terminal() {
                return Show::Terminal;
            }
        }
        Show::Lines
    }
}

/// How to watch.
#[derive(Clone, derive_more::Debug)]
pub struct Options {
    /// How long a poll may last before it is told of, while it lasts: [`SLOW_POLL`] in debug builds,
    /// and never in release builds, unless set.
    pub slow_poll: Option<Duration>,
    /// The loop lives by a virtual clock, which stands still while the loop is held.
    pub virtual_clock: bool,
    /// The title of pages written from the view.
    pub title: String,
    /// Where dumps and pages from the view are written: the directory for temporary files.
    pub directory: PathBuf,
    /// What to do at Ctrl-C in the view, which gives no signal there: by default the view ends, and
    /// the next Ctrl-C is one again.
    #[debug(skip)]
    pub interrupt: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            slow_poll: cfg!(debug_assertions).then_some(SLOW_POLL),
            virtual_clock: false,
            title: String::from("mainspring run"),
            directory: std::env::temp_dir(),
            interrupt: None,
        }
    }
}

/// The watching of one loop. Dropping it ends the watching, lets a held loop go on, and gives
/// the terminal back.
#[derive(derive_more::Debug)]
#[debug("Live {{ told: {}, .. }}", recorder.told())]
pub struct Live {
    recorder: Recorder,
    virtual_clock: bool,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Asks and steers a watched loop, from any thread, also while the loop is blocked. Cloning is cheap.
#[derive(Clone, derive_more::Debug)]
#[debug("Handle {{ .. }}")]
pub struct Handle {
    watched: Arc<Watched>,
}

struct Watched {
    channel: Arc<Channel>,
    follow: Mutex<Follow>,
    began: Instant,
    over: AtomicBool,
}

impl Live {
    /// Starts to watch the loop that will be given [`Live::observer`].
    ///
    /// The recorder must be a ring: a watcher that was left behind goes on from its trace.
    ///
    /// # Errors
    /// If the operating system refuses a thread, or the terminal its raw mode.
    pub fn start(recorder: &Recorder, show: Show, options: Options) -> io::Result<Live> {
        let watched = Arc::new(Watched {
            channel: Arc::default(),
            follow: Mutex::default(),
            began: Instant::now(),
            over: AtomicBool::new(false),
        });
        let handle = Handle { watched };
        let virtual_clock = options.virtual_clock;
        let thread = std::thread::Builder::new().name("mainspring-live".into());
        let watcher = Watcher { handle: handle.clone(), options };
        let thread = match show {
            Show::Nothing => thread.spawn(move || watcher.lines(None))?,
            Show::Lines => thread.spawn(move || watcher.lines(Some(LINE)))?,
            #[cfg(feature = "live")]
            Show::Terminal => {
                let terminal = terminal::Terminal::open()?;
                thread.spawn(move || watcher.terminal(terminal))?
            }
        };
        Ok(Live { recorder: recorder.clone(), virtual_clock, handle, thread: Some(thread) })
    }

    /// What to give to the runtime's builder, on the thread that the loop will run on. It records,
    /// too: the recorder's own observer is not needed besides.
    pub fn observer(&self) -> LiveObserver {
        let channel = self.handle.watched.channel.clone();
        LiveObserver::new(channel, &self.recorder, self.virtual_clock)
    }

    /// A handle for any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.handle.watched.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Had it panicked, the panic's message has been told, and the terminal given back.
            drop(thread.join());
        }
    }
}

impl Handle {
    /// Every task that has not ended and why it is not running, and what keeps the loop going, as text.
    /// No future is polled for it.
    pub fn dump(&self) -> String {
        let now = self.watched.now();
        let mut follow = self.watched.follow();
        follow.take(&self.watched.channel, now);
        follow.dump(now)
    }

    /// What has been seen, as a trace: the last 65,536 events or so.
    pub fn trace(&self) -> Trace {
        let mut follow = self.watched.follow();
        follow.take(&self.watched.channel, self.watched.now());
        follow.trace()
    }

    /// Holds the loop at the next place between two polls.
    pub fn pause(&self) {
        self.watched.channel.steer(Gate::pause);
    }

    /// Lets a held loop poll one more task.
    pub fn step_poll(&self) {
        self.watched.channel.steer(Gate::step_poll);
    }

    /// Lets a held loop go on to the beginning of its next turn.
    pub fn step_turn(&self) {
        self.watched.channel.steer(Gate::step_turn);
    }

    /// Lets a held loop go on.
    pub fn go_on(&self) {
        self.watched.channel.steer(Gate::go_on);
    }

    /// Holds the loop whenever this happens, or never.
    pub fn break_on(&self, breakpoint: Option<Break>) {
        self.watched.channel.steer(|gate| gate.break_on(breakpoint));
    }

    /// Waits until the loop is held; false if the loop is gone instead.
    ///
    /// Not for the loop's own thread, which it would block for ever.
    pub fn wait_until_held(&self) -> bool {
        self.watched.channel.wait_until_held()
    }
}

impl Watched {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn follow(&self) -> MutexGuard<'_, Follow> {
        self.follow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// The watching thread.
struct Watcher {
    handle: Handle,
    options: Options,
}

impl Watcher {
    /// How long to wait between two looks.
    fn period(&self) -> Duration {
        if self.options.slow_poll.is_some() { LOOK } else { FRAME }
    }

    /// Looks at the loop; says what there is to say about slow polls.
    fn look(&self) -> Vec<String> {
        let now = self.handle.watched.now();
        let mut follow = self.handle.watched.follow();
        follow.take(&self.handle.watched.channel, now);
        let notices = follow.watch(self.options.slow_poll, now);
        notices.iter().map(|notice| status::notice(&follow, notice)).collect()
    }

    /// Lets the loop go on for good.
    fn release(&self) {
        self.handle.watched.channel.steer(|gate| {
            gate.break_on(None);
            gate.go_on();
        });
    }

    /// Watches without a terminal: a line every so often, and a line per slow poll.
    fn lines(&self, every: Option<Duration>) {
        let watched = &*self.handle.watched;
        let mut told = (Duration::ZERO, 0);
        while !watched.is_over() {
            std::thread::park_timeout(self.period());
            for line in self.look() {
                say(&line);
            }
            let now = watched.now();
            let Some(every) = every else { continue };
            if now >= told.0 + every {
                let mut follow = watched.follow();
                follow.sample(now);
                let line = status::line(&follow, now);
                // A loop that sleeps has nothing new to tell.
                if follow.told().told != told.1 {
                    say(&line);
                }
                told = (now, follow.told().told);
            }
        }
        // What happened since the last look: a slow poll may have been the program's last.
        self.look().iter().for_each(|line| say(line));
    }
}

impl Drop for Watcher {
    /// However the watching ends, a held loop must not stay so.
    fn drop(&mut self) {
        self.release();
    }
}

/// A line for stderr. Where stderr is closed, there is nothing to say it to.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}
