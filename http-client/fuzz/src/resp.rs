//! What the reader of Redis's replies makes of bytes: the same however they come in pieces, and what
//! another reader makes of them.

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

// The file itself: the crate that it is of needs much that no reader of bytes does.
#[allow(dead_code, reason = "commands are written elsewhere")]
#[path = "../../../examples/src/celery/resp/mod.rs"]
mod reader;

use reader::{Decoder, Reply};

/// Bytes, of which the first says how long the pieces are in which the others come.
pub fn resp(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let (whole, sound) = read(bytes, bytes.len());
    assert_eq!(read(bytes, usize::from(piece)), (whole.clone(), sound), "in pieces as whole");
    let mut rest = bytes;
    for reply in whole {
        let (theirs, used) = decode(rest).expect("theirs is no stricter").expect("it is whole");
        assert!(same(&reply, &theirs), "{reply:?} is {theirs:?}");
        rest = &rest[used..];
    }
}

/// The replies in bytes, and whether nothing was wrong with them.
fn read(bytes: &[u8], piece: usize) -> (Vec<Reply>, bool) {
    let (mut decoder, mut replies) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.next_reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(_) => return (replies, false),
            }
        }
    }
    (replies, true)
}

fn same(ours: &Reply, theirs: &OwnedFrame) -> bool {
    match (ours, theirs) {
        (Reply::Status(ours), OwnedFrame::SimpleString(theirs)) => ours.as_bytes() == theirs,
        (Reply::Error(ours), OwnedFrame::Error(theirs)) => ours == theirs,
        (Reply::Number(ours), OwnedFrame::Integer(theirs)) => ours == theirs,
        (Reply::Text(Some(ours)), OwnedFrame::BulkString(theirs)) => ours == theirs,
        (Reply::Text(None) | Reply::Array(None), OwnedFrame::Null) => true,
        (Reply::Array(Some(ours)), OwnedFrame::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}
