//! Panics of a user's code, in whatever place: caught, told, and never lost to a second one. And what is told.
//!
//! The loop calls code of a user in many places: polls, wakers, callbacks, and the drops of futures, results,
//! closures and panic payloads. Whatever one of them does, the others have their turn.

use std::any::Any;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a panic was made with. Its drop may run code of a user's, and never panics.
pub(crate) struct Payload(Option<Box<dyn Any + Send>>);

impl Payload {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Payload {
        Payload(Some(payload))
    }

    /// The text of the panic.
    pub(crate) fn message(&self) -> String {
        let payload = self.0.as_deref();
        let text = payload.and_then(|payload| {
            let literal = payload.downcast_ref::<&'static str>().copied();
            literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        });
        text.unwrap_or("a panic without a text").to_owned()
    }

    pub(crate) fn into_inner(mut self) -> Box<dyn Any + Send> {
        self.0.take().expect("a payload is taken out once")
    }

    /// Goes on with the panic; a thread that unwinds already can only tell of it.
    pub(crate) fn resume(self) {
        if std::thread::panicking() {
            report(format_args!("a second panic: {}", self.message()));
        } else {
            resume_unwind(self.into_inner());
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // It could go on like this for ever.
            std::mem::forget(second);
        }
    }
}

/// Calls `f` and catches its panic. What the panic left is looked at only where it is whole.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f)).map_err(Payload::new)
}

/// Calls `f` with every item, also with those after one that panics; goes on with the first panic then.
pub(crate) fn for_each<I: Iterator>(mut items: I, mut f: impl FnMut(I::Item)) {
    let mut first = None;
    while let Err(payload) = catch(|| items.by_ref().for_each(&mut f)) {
        first.get_or_insert(payload);
    }
    if let Some(payload) = first {
        payload.resume();
    }
}

/// Writes a line to stderr. Unlike `eprintln!` it does not panic where stderr is closed: there is no
/// better place to tell of that.
pub(crate) fn report(line: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr(), "mainspring: {line}"));
}

/// The first eighty characters of a text, on one line. What writes it may be a user's, and is stopped there.
pub(crate) fn shortened(text: fmt::Arguments<'_>) -> String {
    struct Line(String, usize);
    impl fmt::Write for Line {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                self.1 = self.1.checked_sub(1).ok_or(fmt::Error)?;
                self.0.push(if character == '\n' { ' ' } else { character });
            }
            Ok(())
        }
    }
    let mut line = Line(String::new(), 80);
    if fmt::Write::write_fmt(&mut line, text).is_err() {
        line.0.push('…');
    }
    line.0
}
