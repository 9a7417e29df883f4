//! One request and its response, over one connection.

use super::{Connection, ResponseStart, Sent};
use crate::error::{Phase, Result};
use crate::hooks::SignalKind;
use crate::timeout::{Deadline, Timeouts, Timer};
use std::future::{Future, poll_fn};
use std::task::{Poll, ready};

/// What an exchange waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// That the socket takes the request.
    Send,
    /// `100 Continue`, before the body is sent.
    AwaitContinue,
    /// The response.
    Reply,
}

impl Stage {
    #[inline]
    fn deadline(self, timeouts: &Timeouts) -> Deadline {
        match self {
            Self::Send => Deadline::new(Phase::Write, timeouts.write),
            Self::AwaitContinue => Deadline::new(Phase::Head, Some(timeouts.expect_continue)),
            Self::Reply => Deadline::new(Phase::Head, timeouts.head),
        }
    }
}

/// Sends the request that was put on the connection, and waits for the head of the final response.
///
/// One poll function and no `async fn` of several waits, as every request is resumed here.
pub(crate) fn exchange(
    connection: &mut Connection,
    timeouts: &Timeouts,
    timer: &mut Timer,
) -> impl Future<Output = Result<Box<ResponseStart>>> {
    let mut stage = Stage::Send;
    let mut deadline = stage.deadline(timeouts);
    poll_fn(move |cx| {
        loop {
            let step = match stage {
                Stage::Send => connection.poll_send(cx),
                Stage::AwaitContinue | Stage::Reply => {
                    connection.poll_reply(cx).map_ok(Sent::Reply)
                }
            };
            let (mut next, mut progress) = (stage, false);
            match step {
                Poll::Ready(Ok(Sent::Reply(Some(start)))) => {
                    return Poll::Ready(timer.check_total().map(|()| start));
                }
                Poll::Ready(Ok(Sent::Reply(None))) => {}
                Poll::Ready(Ok(Sent::Some)) => progress = true,
                Poll::Ready(Ok(Sent::Held)) if timeouts.expect_continue.is_zero() => {
                    connection.release_body();
                }
                Poll::Ready(Ok(Sent::Held)) => next = Stage::AwaitContinue,
                Poll::Ready(Ok(Sent::All)) => {
                    timer.tell(SignalKind::RequestHeadersSent { bytes: connection.sent });
                    next = Stage::Reply;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let error = ready!(timer.poll_elapsed(cx, &mut deadline));
                    if stage != Stage::AwaitContinue || error.phase() == Some(Phase::Total) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
            if stage == Stage::AwaitContinue {
                // It has come, or has not for long enough (RFC 9110 §10.1.1).
                connection.release_body();
                next = Stage::Send;
            }
            if next != stage || progress {
                deadline = next.deadline(timeouts);
            }
            stage = next;
        }
    })
}
