//! What a program says of itself: labels on futures, marks in time.

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Kind;
use crate::context::{self, Core};

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
    with_tap(|core| {
        let label = core.tap.as_ref().map_or(0, |tap| tap.label(text, written_at));
        core.note_running(Kind::Marked { label });
    });
}

fn with_tap(f: impl FnOnce(&Core)) {
    if let Some(core) = context::try_current().filter(|core| core.tap.is_some()) {
        f(&core);
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
        let core = context::try_current();
        let Some((core, tap)) = core.as_ref().and_then(|core| Some((core, core.tap.as_ref()?)))
        else {
            return this.future.poll(cx);
        };
        let parent = tap.span.get();
        if this.span.id == 0 {
            tap.last_span.set(tap.last_span.get() + 1);
            this.span.id = tap.last_span.get();
            let span = this.span.id;
            let label = tap.label(&this.span.label, this.span.written_at);
            core.note_running(Kind::SpanOpened { span, parent, label });
        }
        this.span.polls += 1;
        tap.span.set(this.span.id);
        let polled = this.future.poll(cx);
        tap.span.set(parent);
        this.span.completed = polled.is_ready();
        polled
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        with_tap(|core| {
            // One that was made and never polled is told of too: that is a mistake worth seeing.
            if let (0, Some(tap)) = (self.id, &core.tap) {
                tap.last_span.set(tap.last_span.get() + 1);
                self.id = tap.last_span.get();
                let (span, parent) = (self.id, tap.span.get());
                let label = tap.label(&self.label, self.written_at);
                core.note_running(Kind::SpanOpened { span, parent, label });
            }
            let (span, completed, polls) = (self.id, self.completed, self.polls);
            core.note_running(Kind::SpanClosed { span, completed, polls });
        });
    }
}
