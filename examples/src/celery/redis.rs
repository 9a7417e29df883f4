//! As much of Redis as Celery's transport needs: commands and replies of RESP2
//! (redis.io, "Redis serialization protocol specification").

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use futures_util::io::BufReader;
use futures_util::{AsyncBufReadExt as _, AsyncReadExt as _};
use mainspring::net::{OwnedReadHalf, OwnedWriteHalf, TcpStream};

/// The longest string that is taken from Redis, in bytes.
const MAX_STRING: usize = 16 * 1024 * 1024;
/// The longest array.
const MAX_ARRAY: usize = 1024;
/// The longest line: a status, an error or a length.
const MAX_LINE: u64 = 64 * 1024;

/// A connection to Redis. One command at a time.
pub struct Redis {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

/// What Redis answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// `OK` and the like.
    Status(String),
    /// A number.
    Number(i64),
    /// A string, or the lack of one.
    Text(Option<Vec<u8>>),
    /// Several replies, or the lack of them.
    Array(Option<Vec<Reply>>),
}

impl Redis {
    /// Connects to a server.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(address: SocketAddr) -> io::Result<Redis> {
        let stream = TcpStream::connect(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot reach Redis at {address}: {error}"))
        })?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        Ok(Redis { read: BufReader::new(read), write })
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// What Redis refuses, as [`ErrorKind::Other`], and what the connection says.
    pub async fn command(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.write.write_all(&bytes).await?;
        self.reply().await
    }

    /// Waits for the next publication on a subscribed channel.
    ///
    /// # Errors
    /// As [`command`](Redis::command).
    pub async fn next_published(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let Reply::Array(Some(parts)) = self.reply().await? else { continue };
            if let [Reply::Text(Some(kind)), _, Reply::Text(Some(text))] = &parts[..]
                && kind == b"message"
            {
                return Ok(text.clone());
            }
        }
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        let (reply, length) = self.simple_reply().await?;
        let Some(length) = length else { return Ok(reply) };
        if length > MAX_ARRAY {
            return Err(unexpected(format!("an array of {length}")));
        }
        // No command that Celery needs answers with arrays inside of arrays.
        let mut parts = Vec::with_capacity(length);
        for _ in 0..length {
            match self.simple_reply().await? {
                (part, None) => parts.push(part),
                (_, Some(_)) => return Err(unexpected("an array in an array".to_owned())),
            }
        }
        Ok(Reply::Array(Some(parts)))
    }

    /// One reply, or the length of an array whose parts follow.
    async fn simple_reply(&mut self) -> io::Result<(Reply, Option<usize>)> {
        let line = self.line().await?;
        let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
        let number = || rest.parse().map_err(|_| unexpected(format!("{line:?}")));
        Ok(match kind {
            "+" => (Reply::Status(rest.to_owned()), None),
            "-" => return Err(io::Error::other(format!("Redis refuses: {rest}"))),
            ":" => (Reply::Number(number()?), None),
            "$" => match usize::try_from(number()?) {
                Ok(length) if length > MAX_STRING => {
                    return Err(unexpected(format!("a string of {length} bytes")));
                }
                Ok(length) => (Reply::Text(Some(self.text(length).await?)), None),
                Err(_) => (Reply::Text(None), None),
            },
            "*" => match usize::try_from(number()?) {
                Ok(length) => (Reply::Array(None), Some(length)),
                Err(_) => (Reply::Array(None), None),
            },
            _ => return Err(unexpected(format!("{line:?}"))),
        })
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.read).take(MAX_LINE).read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\r\n") {
            let text = "Redis has closed the connection, or sends a line without an end";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).map_err(|_| unexpected("a line that is no text".to_owned()))
    }

    async fn text(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut text = vec![0; length + 2];
        self.read.read_exact(&mut text).await?;
        text.truncate(length);
        Ok(text)
    }
}

fn unexpected(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not what Redis answers: {what}"))
}
