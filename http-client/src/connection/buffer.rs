//! The thread's buffers: a waiting connection holds none.
//!
//! A read borrows one large buffer, and gives it back before the loop turns, so that ten thousand
//! connections that wait share one. Where a chunk of a body fills much of it, the chunk *is* the
//! buffer, handed on without a copy, and the buffer comes back when the chunk is dropped.

use bytes::Bytes;
use std::cell::RefCell;

/// Bytes asked of the kernel at once. Each read of a large body costs more than its system call:
/// the kernel tells the peer how much room it made, and over a local link takes in what the peer
/// then sends; and the code of a poll is cold after so much has been copied. Much more would fall
/// out of the processor's second-level cache.
pub(crate) const READ_BYTES: usize = 512 * 1024;

/// Read buffers kept for the next reader. More are made when chunks are held; they are freed.
const READ_BUFFERS_KEPT: usize = 4;

/// Capacity in bytes of a write buffer that is kept; one that grew beyond is freed.
const WRITE_BYTES_KEPT: usize = 16 * 1024;

/// From this length on, a chunk takes its buffer along instead of being copied out of it. A chunk
/// that is held thus costs up to 16 times its length; one segment over the loopback interface,
/// which is a little less than 64 KiB, is not copied.
const HAND_OVER_BYTES: usize = READ_BYTES / 16;

#[derive(Default)]
struct Buffers {
    read: Vec<Box<[u8]>>,
    write: Option<Vec<u8>>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = const {
        RefCell::new(Buffers { read: Vec::new(), write: None })
    };
}

/// A buffer of [`READ_BYTES`] to read into. Goes back to its thread's store when dropped.
pub(crate) struct ReadBuffer(Box<[u8]>);

impl ReadBuffer {
    #[inline]
    pub(crate) fn take() -> Self {
        let kept = BUFFERS.with_borrow_mut(|buffers| buffers.read.pop());
        Self(kept.unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice()))
    }

    pub(crate) fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.0[range]
    }

    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The bytes of `range`, which take the buffer along if they are many.
    pub(crate) fn into_bytes(self, range: std::ops::Range<usize>) -> Bytes {
        if range.len() < HAND_OVER_BYTES {
            Bytes::copy_from_slice(&self.0[range])
        } else {
            Bytes::from_owner(self).slice(range)
        }
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A chunk may outlive the store of its thread, or be dropped on a thread that has no loop.
        BUFFERS
            .try_with(|buffers| {
                let mut buffers = buffers.borrow_mut();
                if buffers.read.len() < READ_BUFFERS_KEPT {
                    buffers.read.push(buffer);
                }
            })
            .unwrap_or_default();
    }
}

/// An empty buffer to write a request into.
pub(crate) fn take_write_buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(|buffers| buffers.write.take()).unwrap_or_default()
}

/// Gives a write buffer back.
pub(crate) fn keep_write_buffer(mut buffer: Vec<u8>) {
    if (1..=WRITE_BYTES_KEPT).contains(&buffer.capacity()) {
        buffer.clear();
        BUFFERS.with_borrow_mut(|buffers| buffers.write = Some(buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_chunk_is_the_buffer_and_gives_it_back() {
        let mut buffer = ReadBuffer::take();
        buffer.space()[..3].copy_from_slice(b"abc");
        let address = buffer.space().as_ptr();
        let chunk = buffer.into_bytes(0..READ_BYTES);
        assert_eq!(chunk.as_ptr(), address, "no copy");
        let other = ReadBuffer::take();
        assert_ne!(other.0.as_ptr(), address, "the chunk still holds the first one");
        drop(other);
        drop(chunk);
        assert_eq!(ReadBuffer::take().0.as_ptr(), address, "back, and first to be taken");
    }

    #[test]
    fn a_small_chunk_is_a_copy() {
        let mut buffer = ReadBuffer::take();
        buffer.space()[..3].copy_from_slice(b"abc");
        let address = buffer.space().as_ptr();
        let chunk = buffer.into_bytes(1..3);
        assert_eq!(&chunk[..], b"bc");
        assert_eq!(ReadBuffer::take().0.as_ptr(), address);
    }
}
