//! What a program says of itself: labels on futures, marks in time.

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::event::Kind;
use super::slot::ObserverSlot;
use crate::event_loop::{self, Core};

/// Tells the observer when `future` is first polled, and when it completes or is dropped midway. Nested
/// ones form the await tree of their task. Without an observer it costs one test per poll.
#[track_caller]
pub fn traced<F: Future>(label: impl Into<Cow<'static, str>>, future: F) -> Traced<F> {
    let (label, written_at) = (label.into(), Location::caller());
    Traced { future, span: Span { label, written_at, id: 0, polls: 0, completed: false } }
}

/// Leaves a mark in the record, at the time of the latest event. Nothing happens without an observer.
#[track_caller]
pub fn mark(text: &str) {
    let written_at = Location::caller();
    if_observed(|core, observer| {
        core.emit_running(Kind::Marked { label: observer.label(text, written_at) });
    });
}

fn if_observed(f: impl FnOnce(&Core, &ObserverSlot)) {
    if let Some(core) = event_loop::try_current()
        && let Some(observer) = &core.observer
    {
        f(&core, observer);
    }
}

pin_project! {
    /// A future with a label: see [`traced`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Traced<F> {
        #[pin]
        future: F,
        span: Span,
    }
}

#[derive(Debug)]
struct Span {
    label: Cow<'static, str>,
    written_at: &'static Location<'static>,
    /// 0 until the first poll.
    id: u32,
    polls: u32,
    completed: bool,
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let core = event_loop::try_current();
        let observed = core.as_ref().and_then(|core| Some((core, core.observer.as_ref()?)));
        let Some((core, observer)) = observed else { return this.future.poll(cx) };
        let parent = observer.span.get();
        this.span.open(core, observer);
        this.span.polls += 1;
        observer.span.set(this.span.id);
        let polled = this.future.poll(cx);
        observer.span.set(parent);
        this.span.completed = polled.is_ready();
        polled
    }
}

impl Span {
    fn open(&mut self, core: &Core, observer: &ObserverSlot) {
        if self.id == 0 {
            self.id = observer.next_span();
            let (span, parent) = (self.id, observer.span.get());
            let label = observer.label(&self.label, self.written_at);
            core.emit_running(Kind::SpanOpened { span, parent, label });
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if_observed(|core, observer| {
            // One that was made and never polled is told of too: that is a mistake worth seeing.
            self.open(core, observer);
            let (span, completed, polls) = (self.id, self.completed, self.polls);
            core.emit_running(Kind::SpanClosed { span, completed, polls });
        });
    }
}
