//! `--resume FILE`: what a crawl has done so far, so that a later run goes on where it ended,
//! however it ended.
//!
//! The file is a list of JSON lines that only grows: a head, then one line for every page that is
//! over, with what was found and where its links lead. Pages that failed are not told: a later run
//! tries them again.
//!
//! A body is kept in two steps around its line: written under a temporary name before it, renamed
//! after it. So the line alone decides whether a page counts as stored. A kill before the line
//! loses a page that was not stored; a kill after it leaves a rename to do, which the next run
//! does. The last line may be cut short by a kill; it is taken away when the file is opened.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use url::Url;

use super::record::Record;

/// The first line, by which a journal is told from other files that a slip might name.
const HEAD: &[u8] = b"{\"journal\":\"crawl\",\"version\":1}\n";

/// The longest line that is read back, in bytes. One page's links fit many times over.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// One page that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The page.
    #[serde(flatten)]
    pub record: Record,
    /// Where its links lead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leads_to: Vec<Url>,
}

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal at `path`, or begins one; returns what it tells of earlier runs.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong: it cannot be read or written, or a line
    /// before the last is not one of ours.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Entry>), String> {
        let error = |error: io::Error| format!("cannot use {}: {error}", path.display());
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = file.map_err(error)?;
        let (entries, whole) = read(&file).map_err(error)?;
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(error)?;
        if whole == 0 {
            file.write_all(HEAD).map_err(error)?;
        }
        Ok((Journal { file }, entries))
    }

    /// Tells that a page is over. The line is with the operating system when this returns: it
    /// survives the end of this process, whatever ends it.
    ///
    /// # Errors
    /// Whatever the file system fails with.
    pub fn tell(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// The entries of whole lines, and how many bytes those lines take, the head included.
fn read(file: &File) -> io::Result<(Vec<Entry>, u64)> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut read_line = |line: &mut Vec<u8>| {
        line.clear();
        io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', line)
    };
    read_line(&mut line)?;
    if line != HEAD {
        // A kill may have cut the head itself; anything else was never ours.
        return if HEAD.starts_with(&line) { Ok((Vec::new(), 0)) } else { Err(foreign(1)) };
    }
    let (mut entries, mut whole) = (Vec::new(), HEAD.len() as u64);
    loop {
        let len = read_line(&mut line)? as u64;
        // One that is shorter than the longest was cut by a kill.
        if !line.ends_with(b"\n") && len < MAX_LINE {
            return Ok((entries, whole));
        }
        entries.push(serde_json::from_slice(&line).map_err(|_| foreign(entries.len() + 2))?);
        whole += len;
    }
}

fn foreign(line: usize) -> io::Error {
    io::Error::other(format!("line {line} is not from a crawl; is it another file?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::Scratch;
    use std::fs;

    fn entry(path: &str, links: &[&str]) -> Entry {
        let url = |path: &str| Url::parse("http://h").and_then(|u| u.join(path)).expect(path);
        let record = Record { depth: 1, status: Some(200), ..Record::new(url(path)) };
        Entry { record, leads_to: links.iter().map(|link| url(link)).collect() }
    }

    #[test]
    fn a_kill_at_any_byte_loses_the_last_line_at_most() {
        let scratch = Scratch::new("journal");
        let path = scratch.0.join("j");
        let told = [entry("/a", &["/b", "/c"]), entry("/b", &[]), entry("/c", &["/ü?\"\n"])];
        let (mut journal, before) = Journal::open(&path).expect("begun");
        assert_eq!(before, []);
        for entry in &told {
            journal.tell(entry).expect("told");
        }
        drop(journal);
        let bytes = fs::read(&path).expect("read");
        let mut whole = 0;
        for cut in 0..=bytes.len() {
            whole += usize::from(cut > HEAD.len() && bytes[cut - 1] == b'\n');
            fs::write(&path, &bytes[..cut]).expect("cut");
            let (mut journal, before) = Journal::open(&path).expect("opened again");
            assert_eq!(before, told[..whole], "cut at {cut}");
            journal.tell(&told[0]).expect("told");
            let (_, after) = Journal::open(&path).expect("opened a third time");
            assert_eq!(after.len(), whole + 1);
        }
    }

    #[test]
    fn another_file_is_not_harmed() {
        let scratch = Scratch::new("foreign");
        let path = scratch.0.join("notes.txt");
        fs::write(&path, "dear diary,\nnot done").expect("written");
        assert_eq!(
            Journal::open(&path).expect_err("not ours"),
            format!(
                "cannot use {}: line 1 is not from a crawl; is it another file?",
                path.display()
            )
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), "dear diary,\nnot done");
        fs::write(&path, "{\"no line end\"").expect("written");
        assert!(Journal::open(&path).is_err());
    }
}
