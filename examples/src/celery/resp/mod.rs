//! What Redis says, byte by byte: replies of RESP2 (redis.io, "Redis serialization protocol
//! specification"). Bytes in, replies out; it knows no socket.

/// The longest string that is taken, in bytes.
pub const MAX_STRING: usize = 64 << 20;
/// The most parts of one array.
pub const MAX_PARTS: usize = 1 << 20;
/// The longest line: a status, an error or a length, in bytes.
pub const MAX_LINE: usize = 64 << 10;
/// How deep arrays may be nested.
pub const MAX_DEPTH: usize = 8;

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `OK` and the like.
    Status(String),
    /// A refusal: a code in capitals and what it means.
    Error(String),
    /// A number.
    Number(i64),
    /// A string, or the lack of one.
    Text(Option<Vec<u8>>),
    /// Several replies, or the lack of them.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// The parts of an array; none of anything else.
    #[must_use]
    pub fn parts(self) -> Vec<Reply> {
        if let Reply::Array(Some(parts)) = self { parts } else { Vec::new() }
    }

    /// The strings of an array, as texts; what is no UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn texts(self) -> Vec<String> {
        let bytes = |part| if let Reply::Text(text) = part { text } else { None };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        self.parts().into_iter().filter_map(bytes).map(text).collect()
    }
}

/// A command: an array of strings.
#[must_use]
pub fn command<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Makes replies of bytes that come in pieces. It holds no more than one reply within the limits,
/// and what was fed after it.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Up to here they have become replies.
    at: usize,
    /// Arrays whose parts are still to come: how many, and those that are there.
    open: Vec<(usize, Vec<Reply>)>,
}

impl Decoder {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next reply, if all of it is there.
    ///
    /// # Errors
    /// The bytes are no reply. Nothing after them can be understood.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, String> {
        while let Some(mut reply) = self.step()? {
            // Each that ends may end the array that it is part of.
            loop {
                let Some((missing, parts)) = self.open.last_mut() else { return Ok(Some(reply)) };
                parts.push(reply);
                *missing -= 1;
                if *missing > 0 {
                    break;
                }
                reply = Reply::Array(self.open.pop().map(|(_, parts)| parts));
            }
        }
        Ok(None)
    }

    /// A reply that is no array, or an array without parts; an array with some is opened.
    fn step(&mut self) -> Result<Option<Reply>, String> {
        loop {
            let Some(end) = self.line_end()? else { return Ok(None) };
            let line = &self.bytes[self.at..end];
            let bad =
                || format!("not what Redis answers: {}", line[..line.len().min(40)].escape_ascii());
            let (kind, rest) = line.split_first().ok_or_else(bad)?;
            let text = str::from_utf8(rest).map_err(|_| bad())?;
            let number = text.parse::<i64>();
            let length = number.as_ref().ok().and_then(|length| usize::try_from(*length).ok());
            let up_to = |most: usize| length.filter(|length| *length <= most).ok_or_else(bad);
            let mut after = end + 2;
            let reply = match kind {
                b'+' => Reply::Status(text.to_owned()),
                b'-' => Reply::Error(text.to_owned()),
                b':' => Reply::Number(number.map_err(|_| bad())?),
                // This length says that there is nothing.
                b'$' if number == Ok(-1) => Reply::Text(None),
                b'*' if number == Ok(-1) => Reply::Array(None),
                b'$' => {
                    let from = after;
                    after += up_to(MAX_STRING)? + 2;
                    let Some(text) = self.bytes.get(from..after) else { return Ok(None) };
                    Reply::Text(Some(text.strip_suffix(b"\r\n").ok_or_else(bad)?.to_vec()))
                }
                b'*' => match up_to(MAX_PARTS)? {
                    0 => Reply::Array(Some(Vec::new())),
                    _ if self.open.len() == MAX_DEPTH => return Err(bad()),
                    length => {
                        self.open.push((length, Vec::new()));
                        self.at = after;
                        continue;
                    }
                },
                _ => return Err(bad()),
            };
            self.at = after;
            return Ok(Some(reply));
        }
    }

    /// Where the line that begins here ends, if it does.
    fn line_end(&self) -> Result<Option<usize>, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).take(MAX_LINE + 1).position(|two| two == b"\r\n");
        if end.is_none() && rest.len() > MAX_LINE + 1 {
            return Err("not what Redis answers: a line that does not end".to_owned());
        }
        Ok(end.map(|end| self.at + end))
    }
}

// The fuzz target borrows this file, and has nothing that its tests need.
#[cfg(all(test, not(fuzzing)))]
mod tests;
