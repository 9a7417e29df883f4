//! What is compared: a scenario, its rows in the table, its contestants and its goals.

use std::time::{Duration, Instant};

/// One round's figures, one for each row of the scenario, in the row's unit.
pub type Figures = Vec<f64>;

/// One piece of work, done by several contestants.
pub struct Scenario {
    /// Short name, for `--only`.
    pub id: &'static str,
    /// One row in the table for each figure a round gives.
    pub rows: Vec<Row>,
    /// The floor first, then mainspring, then its peers.
    pub contestants: Vec<Contestant>,
    /// Whether each round needs a process of its own, because it measures memory, or opens so
    /// many connections that what it leaves behind in the kernel would disturb the next.
    pub isolated: bool,
    /// An upper limit for the number of rounds, for scenarios that take seconds or that give the
    /// same figure every time.
    pub max_rounds: usize,
}

impl Scenario {
    /// One that is measured in one process, in as many rounds as asked for.
    pub fn new(id: &'static str, rows: Vec<Row>, contestants: Vec<Contestant>) -> Self {
        Self { id, rows, contestants, isolated: false, max_rounds: usize::MAX }
    }
}

/// A line of the table.
pub struct Row {
    /// What was measured, per what.
    pub title: &'static str,
    /// The unit of its figures.
    pub unit: Unit,
    /// What mainspring has to reach.
    pub goals: Vec<Goal>,
    /// What explains the figure, for the reader of the results.
    pub note: &'static str,
}

/// The unit of a figure; less is better in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Bytes.
    Bytes,
    /// Mebibytes.
    Mebibytes,
    /// How many times as much.
    Times,
}

/// What mainspring has to reach, mostly as a ratio to another contestant in the same run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this many times the floor: for work of which the floor leaves out nothing that matters.
    /// Where it lacks what makes a runtime one (a panic caught, a cancel, a wake from anywhere) its
    /// figure says where the bottom is, and the peers what can be reached.
    OfFloor(f64),
    /// At most this part of the best peer.
    OfBestPeer(f64),
    /// At most this part of the best peer that waits for readiness (epoll), for rows where an
    /// io_uring peer gives the kernel other work to do.
    OfBestEpollPeer(f64),
    /// At most this part of tokio's, by the better of its two ways to run tasks that are not `Send`.
    OfTokio(f64),
    /// At most so much in the row's own unit: for memory, which is the same on every machine, and for
    /// lateness.
    AtMost(f64),
}

/// Who does the work.
pub struct Contestant {
    /// Its name in the table.
    pub name: &'static str,
    /// Does the work once, and measures.
    pub round: Box<dyn Fn() -> Figures>,
    /// Why it cannot run here, if it cannot.
    pub unavailable: fn() -> Option<String>,
}

impl Contestant {
    /// A contestant that can run everywhere.
    pub fn new(name: &'static str, round: impl Fn() -> Figures + 'static) -> Self {
        Self { name, round: Box::new(round), unavailable: || None }
    }
}

/// The name of the floor in every scenario.
pub const FLOOR: &str = "bare";
/// Our own name in every scenario.
pub const OURS: &str = "mainspring";
/// The peers that run on io_uring.
pub const IO_URING: [&str; 3] = ["monoio (uring)", "compio", "glommio"];

impl Unit {
    /// Its symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Nanos => "ns",
            Unit::Micros => "µs",
            Unit::Millis => "ms",
            Unit::Bytes => "B",
            Unit::Mebibytes => "MiB",
            Unit::Times => "×",
        }
    }
}

/// Nanoseconds per operation since `start`.
pub fn nanos_per(start: Instant, operations: usize) -> f64 {
    nanos(start.elapsed()) / operations as f64
}

/// A duration in nanoseconds.
pub fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// The processor time this thread has used, user and system together.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Numbers that look random and are the same in every run (splitmix64), so that every contestant
/// is given the same deadlines.
#[derive(Debug, Clone)]
pub struct Scatter(pub u64);

impl Scatter {
    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Lists the contestants of a scenario: the floor's function, then one generic function for every
/// runtime that is able to do the work.
#[macro_export]
macro_rules! contestants {
    ($bare:expr, $work:ident $arguments:tt, [$($peer:ident),*]) => {{
        #[allow(unused_mut, reason = "nothing is added without the peers")]
        let mut all = vec![
            $crate::scenario::Contestant::new($crate::scenario::FLOOR, move || $bare),
            $crate::scenario::Contestant::new($crate::scenario::OURS, move || {
                $work::<$crate::runtimes::mainspring::Runtime> $arguments
            }),
        ];
        $(
            #[cfg(feature = "peers")]
            all.push($crate::scenario::Contestant {
                name: $crate::runtimes::$peer::NAME,
                round: Box::new(move || $work::<$crate::runtimes::$peer::Runtime> $arguments),
                unavailable: <$crate::runtimes::$peer::Runtime as $crate::runtimes::Spawns>
                    ::unavailable,
            });
        )*
        all
    }};
}
