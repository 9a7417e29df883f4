//! A clock for each phase of a request, on one timer.
//!
//! A request waits for one thing at a time, so one timer serves all its phases. It is armed only
//! when something has to be waited for, and moved only when the next deadline is earlier than the
//! one it is set to; a later one is found when the timer fires too early.

use crate::error::{Error, Phase, Result};
use crate::hooks::{HookHandle, SignalKind};
use mainspring::time::{self, Sleep};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How long each phase of a request may take. `None` is for ever, and so is zero, as with curl and
/// aiohttp. What is there when its time is over still counts, but for `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a free connection. Default: none, as a queue is how limits are meant to work.
    pub pool: Option<Duration>,
    /// Opening a connection, all of it: looking up the host, connecting to one of its addresses, the
    /// tunnel through a proxy, the TLS handshake. Default 15 s.
    pub connect: Option<Duration>,
    /// Of that, looking up the host. Default: none of its own.
    pub resolve: Option<Duration>,
    /// Of that, the TLS handshake. Default: none of its own.
    pub tls: Option<Duration>,
    /// Sending the request: from one write that the socket took to the next. Default 30 s.
    pub write: Option<Duration>,
    /// From the request sent to the response head complete. Default 60 s.
    pub head: Option<Duration>,
    /// From one piece of the body to the next. Default 30 s.
    pub read: Option<Duration>,
    /// Everything but the wait in the pool, redirects included. Default: none.
    pub total: Option<Duration>,
    /// How long to wait for `100 Continue` before the body is sent anyway; with zero, not at all.
    /// Default 1 s.
    pub expect_continue: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Self {
            pool: None,
            connect: seconds(15),
            resolve: None,
            tls: None,
            write: seconds(30),
            head: seconds(60),
            read: seconds(30),
            total: None,
            expect_continue: Duration::from_secs(1),
        }
    }
}

/// The timer of one request.
pub(crate) struct Timer {
    sleep: Option<Sleep>,
    total: Option<(Instant, Duration)>,
    /// While a connection is being opened: until when, all of it.
    opening: Option<(Instant, Duration)>,
    /// Travels along, as it is wanted wherever there is something to wait for.
    hook: HookHandle,
}

impl Timer {
    /// Starts the clock of the whole request.
    #[inline]
    pub(crate) fn start(total: Option<Duration>, hook: HookHandle) -> Self {
        Self { sleep: None, total: ends(total), opening: None, hook }
    }

    /// Starts the clock of opening a connection, or stops it with `None`.
    pub(crate) fn open_within(&mut self, limit: Option<Duration>) {
        self.opening = ends(limit);
    }

    /// An error once the whole request has taken too long: to be asked when something has come, too,
    /// lest it depend on who comes first.
    pub(crate) fn check_total(&self) -> Result<()> {
        match self.total {
            Some((at, after)) if time::now() >= at => Err(Error::timeout(Phase::Total, after)),
            _ => Ok(()),
        }
    }

    /// Tells the client's hook, if it has one.
    #[inline]
    pub(crate) fn tell(&self, kind: SignalKind<'_>) {
        self.hook.tell(kind);
    }

    /// Waits for `future`, but no longer than `limit` and than the whole request may take. It is pinned
    /// by the caller: what an `async fn` pins of its arguments takes their room twice.
    pub(crate) fn within<F: Future>(
        &mut self,
        phase: Phase,
        limit: Option<Duration>,
        mut future: Pin<&mut F>,
    ) -> impl Future<Output = Result<F::Output>> {
        let mut deadline = Deadline::new(phase, limit);
        poll_fn(move |cx| {
            // A value that is ready at the deadline wins.
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            self.poll_elapsed(cx, &mut deadline).map(Err)
        })
    }

    /// The wait in the pool, which the clock of the whole request does not count.
    pub(crate) async fn within_pool<F: Future>(
        &mut self,
        limit: Option<Duration>,
        future: Pin<&mut F>,
    ) -> Result<F::Output> {
        self.tell(SignalKind::ConnectionQueuedStart);
        let began = time::now();
        let result = self.within(Phase::Pool, limit, future).await;
        self.tell(SignalKind::ConnectionQueuedEnd);
        let waited = time::now().saturating_duration_since(began);
        self.total = self.total.and_then(|(at, after)| Some((at.checked_add(waited)?, after)));
        result
    }

    /// Ready once `deadline` or that of the whole request has passed. The clock of `deadline`
    /// starts at the first call.
    pub(crate) fn poll_elapsed(
        &mut self,
        cx: &mut Context<'_>,
        deadline: &mut Deadline,
    ) -> Poll<Error> {
        let alone = self.total.is_none() && self.opening.is_none();
        if self.sleep.is_none() && alone && deadline.at.is_none() {
            // The common case. The timer reads the clock itself, so that nothing else has to.
            if let Some(limit) = deadline.limit {
                let sleep = self.sleep.insert(time::sleep(limit));
                let first = Pin::new(&mut *sleep).poll(cx);
                debug_assert!(first.is_pending(), "a sleep suspends at least once");
                deadline.on_timer = true;
            }
            return Poll::Pending;
        }
        if std::mem::take(&mut deadline.on_timer) {
            deadline.at = self.sleep.as_ref().and_then(Sleep::deadline);
        }
        let step = deadline.start().map(|ends| (ends, deadline.phase));
        let opening = self.opening.map(|ends| (ends, deadline.phase));
        let total = self.total.filter(|_| deadline.phase != Phase::Pool);
        let all = [step, opening, total.map(|ends| (ends, Phase::Total))];
        let next = all.into_iter().flatten().min_by_key(|((at, _), _)| *at);
        let Some(((at, after), phase)) = next else { return Poll::Pending };
        loop {
            let armed = self.sleep.as_ref().and_then(Sleep::deadline);
            let sleep = match &mut self.sleep {
                Some(sleep) if armed <= Some(at) => sleep,
                slot => slot.insert(time::sleep_until(at)),
            };
            ready!(Pin::new(sleep).poll(cx));
            self.sleep = None;
            if time::now() >= at {
                return Poll::Ready(Error::timeout(phase, after));
            }
        }
    }
}

/// When a time that begins now is over. Zero, and what is beyond what the clock can say, is for ever.
#[inline]
fn ends(limit: Option<Duration>) -> Option<(Instant, Duration)> {
    let after = limit.filter(|limit| !limit.is_zero())?;
    Some((time::now().checked_add(after)?, after))
}

/// When a phase is over: so long after the first time that it had to wait.
pub(crate) struct Deadline {
    phase: Phase,
    limit: Option<Duration>,
    at: Option<Instant>,
    /// It is the one that the timer is set to, which is asked only if it matters.
    on_timer: bool,
}

impl Deadline {
    pub(crate) fn new(phase: Phase, limit: Option<Duration>) -> Self {
        Self { phase, limit: limit.filter(|limit| !limit.is_zero()), at: None, on_timer: false }
    }

    /// The next wait has all of the time again.
    pub(crate) fn restart(&mut self) {
        (self.at, self.on_timer) = (None, false);
    }

    fn start(&mut self) -> Option<(Instant, Duration)> {
        let limit = self.limit?;
        if self.at.is_none() {
            // A limit beyond what the clock can say is none.
            self.at = time::now().checked_add(limit);
        }
        self.at.map(|at| (at, limit))
    }
}
