//! For servers that a test plays by itself, on the client's own thread, with the loop turned by hand.

use mainspring::Runtime;
use std::io::{ErrorKind, Read};

/// Reads the head of a request from a socket that does not block, with the client at work between the tries.
pub fn read_head(runtime: &mut Runtime, stream: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        runtime.run_until_idle();
        let mut piece = [0; 1024];
        match stream.read(&mut piece) {
            Ok(count) => head.extend_from_slice(&piece[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}
