//! The machine that reads one response: interim heads, the final head, the body, the trailers.
//!
//! ```text
//!          ┌─1xx─┐
//!          ▼     │      ┌─► Length ──────────────┐
//!  Head ──► parsed ─────┼─► Chunked ─────────────┼──► Done
//!                       ├─► UntilClose ── eof() ─┤
//!                       └─► no body, or a tunnel ┘
//! ```

use super::chunked::ChunkedDecoder;
use super::close_reason::CloseReason;
use super::error::{ProtocolError, Result};
use super::framing::{BodyFraming, RequestKind};
use super::head::{self, Collector, Limits, ResponseHead};
use http::HeaderMap;

/// What a step of the decoder gave.
#[derive(Debug)]
pub enum Event<'a> {
    /// All input was taken; more is needed.
    NeedMore,
    /// An interim response (1xx other than 101); the final one is still to come.
    Interim(ResponseHead),
    /// The final head. Its body follows, by [`ResponseDecoder::framing`].
    Head(ResponseHead),
    /// Bytes of the body, as they stand in the input.
    Data(&'a [u8]),
    /// The response is over. Trailers, if any came.
    End(HeaderMap),
}

/// Reads one response. Keeps a partial head and the position in the framing, never body bytes.
#[derive(Debug)]
pub struct ResponseDecoder {
    state: State,
    request: RequestKind,
    limits: Limits,
    interim: u8,
    framing: BodyFraming,
    close_reason: Option<CloseReason>,
    body_received: u64,
}

#[derive(Debug)]
enum State {
    /// Before the end of a head; what came of it, if it did not come in one piece.
    Head(Option<Box<Collector>>),
    Length {
        left: u64,
    },
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
}

impl ResponseDecoder {
    /// A decoder for the response to a request of this kind.
    #[must_use]
    pub fn new(request: RequestKind, limits: Limits) -> Self {
        Self {
            state: State::Head(None),
            request,
            limits,
            interim: 0,
            framing: BodyFraming::Empty,
            close_reason: None,
            body_received: 0,
        }
    }

    /// How the end of the body is found. `Empty` before the head is complete.
    #[must_use]
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Bytes of the body so far, transfer coding off, content coding still on.
    #[must_use]
    pub fn body_received(&self) -> u64 {
        self.body_received
    }

    /// Bytes of the body still to come, where the framing tells.
    #[must_use]
    pub fn body_left(&self) -> Option<u64> {
        match &self.state {
            State::Length { left } => Some(*left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Whether the response is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Why the connection cannot be used again once the response is over, if it cannot.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// Takes input up to the next event. Returns how much it took, and the event.
    ///
    /// Call again with the rest until it says [`Event::NeedMore`] or [`Event::End`]. `End` may
    /// come for an empty input: a response without a body is over with its head. Bytes left over
    /// at the end belong to no response of ours.
    ///
    /// # Errors
    /// The peer's first violation; the decoder is of no use after it.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Event<'a>)> {
        match &mut self.state {
            State::Head(_) if input.is_empty() => Ok((0, Event::NeedMore)),
            State::Head(_) => self.decode_head(input),
            State::Done => Ok((0, Event::End(HeaderMap::new()))),
            _ if input.is_empty() => Ok((0, Event::NeedMore)),
            State::Length { left } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= take as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                self.body_received += take as u64;
                Ok((take, Event::Data(&input[..take])))
            }
            State::Chunked(chunks) => {
                let (taken, event) = chunks.decode(input, &self.limits)?;
                match &event {
                    Event::Data(data) => self.body_received += data.len() as u64,
                    Event::End(_) => self.state = State::Done,
                    _ => {}
                }
                Ok((taken, event))
            }
            State::UntilClose => {
                self.body_received += input.len() as u64;
                Ok((input.len(), Event::Data(input)))
            }
        }
    }

    /// The peer has closed its side. `Ok` if that is a proper end of the response.
    ///
    /// # Errors
    /// What is missing.
    pub fn eof(&mut self) -> Result<()> {
        match &self.state {
            State::Done => return Ok(()),
            State::UntilClose => {}
            // Whatever the framing promised, no second response comes over this connection.
            State::Chunked(chunks) if chunks.may_end_here() => {
                self.close_reason.get_or_insert(CloseReason::OddFraming);
            }
            State::Chunked(_) => {
                let received = self.body_received;
                return Err(ProtocolError::BodyTruncated { received, expected: None });
            }
            State::Length { left } => {
                let received = self.body_received;
                let expected = Some(received + left);
                return Err(ProtocolError::BodyTruncated { received, expected });
            }
            State::Head(partial) => {
                let partial = partial.as_deref().map_or(&[][..], Collector::bytes);
                // A line that is wrong says more than that the rest is missing.
                head::parse(partial, &self.limits)?;
                return Err(ProtocolError::HeadTruncated { received: partial.len() });
            }
        }
        self.state = State::Done;
        Ok(())
    }

    fn decode_head<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Event<'a>)> {
        let State::Head(partial) = &mut self.state else { unreachable!("decode looked") };
        let (head, taken) = match partial {
            None => match head::parse(input, &self.limits)? {
                Some(whole) => whole,
                None => {
                    let mut collector = Box::<Collector>::default();
                    collector.take(input, self.limits.head_bytes);
                    *partial = Some(collector);
                    return Ok((input.len(), Event::NeedMore));
                }
            },
            Some(collector) => {
                let (taken, whole) = collector.take(input, self.limits.head_bytes);
                if !whole && collector.bytes().len() < self.limits.head_bytes {
                    head::check_start(collector.bytes())?;
                    return Ok((taken, Event::NeedMore));
                }
                match head::parse(collector.bytes(), &self.limits)? {
                    Some((head, _)) => (head, taken),
                    // The scan saw an empty line where the parser, which is the judge, did not.
                    None => return Err(head::diagnose_fields(collector.bytes(), true)),
                }
            }
        };
        if self.head_complete(&head)? {
            Ok((taken, Event::Head(head)))
        } else {
            Ok((taken, Event::Interim(head)))
        }
    }

    /// Whether it is the final one.
    // Apart, or the compiler would take the head to pieces to keep them in registers, and run out.
    #[inline(never)]
    fn head_complete(&mut self, head: &ResponseHead) -> Result<bool> {
        if head.status.is_informational() && head.status.as_u16() != 101 {
            if self.interim == self.limits.interim_responses {
                return Err(ProtocolError::TooManyInterim { limit: self.interim });
            }
            self.interim += 1;
            self.state = State::Head(None);
            return Ok(false);
        }
        if head.status.as_u16() == 101 && !self.request.upgrade {
            return Err(ProtocolError::UnexpectedUpgrade);
        }
        self.framing = head.facts.framing(head.status, self.request);
        self.close_reason =
            head.facts.close_reason(head.version, head.status, self.framing, self.request);
        self.state = match self.framing {
            BodyFraming::Empty | BodyFraming::Tunnel => State::Done,
            BodyFraming::Length(left) => State::Length { left },
            BodyFraming::Chunked => State::Chunked(ChunkedDecoder::new()),
            BodyFraming::UntilClose => State::UntilClose,
        };
        Ok(true)
    }
}
