//! Files that a run leaves behind: each appears whole or not at all.

pub mod movies;
pub mod names;
pub mod records;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A directory that results are written to.
#[derive(Clone, Debug)]
pub struct OutDir(PathBuf);

impl OutDir {
    /// Makes the directory where it is missing and checks that files can be written to it, so that
    /// a mistyped path is found before the crawl and not after it.
    ///
    /// # Errors
    /// One sentence that names the directory and the reason.
    pub fn open(path: &Path) -> Result<OutDir, String> {
        let dir = OutDir(path.to_owned());
        // By one name for all runs: what one leaves that is killed here, the next one takes away.
        let probe = "crawl-probe";
        let removed = || match fs::remove_file(path.join(probe)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        fs::create_dir_all(path)
            .and_then(|()| dir.write(probe, |_| Ok(())))
            .and_then(|()| removed())
            .map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
        Ok(dir)
    }

    /// Writes a file under a temporary name beside its place and renames it once it is complete:
    /// a reader, or a later run after a kill, finds the old file, the new one or none, never half.
    ///
    /// The file is not forced to the disk: what is promised holds for a process that is killed,
    /// not for a power cut, which would cost a flush of the disk for every page.
    ///
    /// # Errors
    /// Whatever the file system or `content` fails with; the temporary file is taken away then.
    pub fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.prepare(name, content)?;
        self.reveal(name).map(drop)
    }

    /// The first half of [`OutDir::write`]: the file is complete and not yet in its place.
    /// Preparing it again replaces it.
    ///
    /// # Errors
    /// Whatever the file system or `content` fails with; the temporary file is taken away then.
    pub fn prepare(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let temporary = self.temporary(name);
        let written = File::create(&temporary).and_then(|file| {
            let mut file = BufWriter::new(file);
            content(&mut file)?;
            file.flush()
        });
        if written.is_err() && temporary.exists() {
            fs::remove_file(&temporary)?;
        }
        written
    }

    /// The second half: puts a file in its place that was prepared, by this process or one before
    /// it. False if none was.
    ///
    /// # Errors
    /// Whatever the file system fails with.
    pub fn reveal(&self, name: &str) -> io::Result<bool> {
        match fs::rename(self.temporary(name), self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            renamed => renamed.map(|()| true),
        }
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.part"))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Writes values as JSON, one in each line.
fn lines(file: &mut dyn Write, values: &[impl Serialize]) -> io::Result<()> {
    values.iter().try_for_each(|value| {
        serde_json::to_writer(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// Checks that files can be written to these places, so that a mistyped path is found before the
/// crawl and not after it.
///
/// # Errors
/// One sentence that names the first place that takes no file, and the reason.
pub fn check<'a>(places: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), String> {
    places.into_iter().try_for_each(|place| {
        // A draft that is dropped leaves nothing. What is no file is opened once, when it is written to:
        // the reader of a pipe would take a first look at it for all that comes.
        let draft = if is_other(place) { Ok(()) } else { Draft::create(place).map(drop) };
        draft.map_err(|error| format!("cannot write {}: {error}", place.display()))
    })
}

/// Whether there is something that is neither a file nor a directory, such as a pipe.
pub fn is_other(place: &Path) -> bool {
    fs::metadata(place).is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// A file in the making: it takes its place when it is published, and leaves nothing if it never
/// is. It has the mode of a file that it replaces. A link in that place is followed; a device or a pipe is
/// written to, not replaced.
pub struct Draft {
    /// What is to be in it.
    pub file: BufWriter<File>,
    /// Where it is until then, and where it is to be.
    places: Option<(PathBuf, PathBuf)>,
}

impl Draft {
    /// Begins a file that is to be at `place`.
    ///
    /// # Errors
    /// Whatever the file system fails with, and a place that can be none for a file.
    pub fn create(place: &Path) -> io::Result<Draft> {
        let there = match fs::metadata(place) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => {
                let file = OpenOptions::new().write(true).open(place)?;
                return Ok(Draft { file: BufWriter::new(file), places: None });
            }
            // Such as links in a circle.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            there => there,
        };
        if let Ok(target) = fs::read_link(place) {
            return Draft::create(&place.with_file_name(target));
        }
        let name = place.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
        let part = format!(".{}.part", std::process::id());
        let hidden = OsString::from_iter([".".as_ref(), name, part.as_ref()]);
        let temporary = place.with_file_name(hidden);
        let file = BufWriter::new(File::create(&temporary)?);
        let draft = Draft { file, places: Some((temporary, place.to_owned())) };
        // Before there is anything in it that others are not to read.
        let mode = there.map(|there| draft.file.get_ref().set_permissions(there.permissions()));
        mode.unwrap_or(Ok(())).map(|()| draft)
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// Whatever the file system fails with.
    pub fn publish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.places.as_ref().map_or(Ok(()), |(temporary, place)| fs::rename(temporary, place))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.places {
            // Published, it is not there any more; otherwise there is nothing left that could tell.
            fs::remove_file(temporary).unwrap_or_default();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A directory of a test's own, taken away with it.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("crawl-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a scratch directory");
            Scratch(path)
        }

        pub(crate) fn files(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(&self.0)
                .expect("readable")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the scratch directory is ours");
        }
    }

    #[test]
    fn a_file_appears_whole() {
        let scratch = Scratch::new("whole");
        let dir = OutDir::open(&scratch.0.join("a/b")).expect("made");
        dir.write("x.txt", |file| file.write_all(b"all of it")).expect("written");
        assert_eq!(fs::read(scratch.0.join("a/b/x.txt")).expect("read"), b"all of it");
    }

    #[test]
    fn what_a_killed_run_has_left_of_its_check_is_taken_away() {
        let scratch = Scratch::new("killed");
        for left in ["crawl-probe", ".crawl-probe.part"] {
            fs::write(scratch.0.join(left), "").expect("written");
        }
        OutDir::open(&scratch.0).expect("there");
        assert_eq!(scratch.files(), [""; 0]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let scratch = Scratch::new("failed");
        let dir = OutDir::open(&scratch.0).expect("there");
        dir.write("x.txt", |file| file.write_all(b"old")).expect("written");
        let failed = dir.write("x.txt", |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("the page ended early"))
        });
        assert!(failed.is_err());
        assert_eq!(scratch.files(), ["x.txt"]);
        assert_eq!(fs::read(scratch.0.join("x.txt")).expect("read"), b"old");
    }

    #[test]
    fn a_draft_is_there_once_it_is_published_and_never_else() {
        let scratch = Scratch::new("draft");
        let mut draft = Draft::create(&scratch.0.join("x")).expect("begun");
        draft.file.write_all(b"half").expect("written");
        drop(draft);
        assert_eq!(scratch.files(), [""; 0]);
        let mut draft = Draft::create(&scratch.0.join("x")).expect("begun");
        draft.file.write_all(b"whole").expect("written");
        draft.publish().expect("published");
        assert_eq!(scratch.files(), ["x"]);
        assert!(Draft::create(Path::new("/")).is_err());
        assert!(Draft::create(&scratch.0).is_err(), "a directory");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_draft_replaces_nothing_but_a_file() {
        let scratch = Scratch::new("device");
        let place = scratch.0.join("socket");
        let socket = std::os::unix::net::UnixListener::bind(&place).expect("bound");
        assert!(Draft::create(&place).is_err(), "a socket cannot be opened");
        assert_eq!(scratch.files(), ["socket"]);
        drop(socket);
        let mut draft = Draft::create(Path::new("/dev/null")).expect("opened");
        draft.file.write_all(b"gone").expect("written");
        draft.publish().expect("published");
        assert!(!fs::metadata("/dev/null").expect("there").is_file());
        let mut draft = Draft::create(Path::new("/dev/full")).expect("opened");
        draft.file.write_all(b"too much").expect("buffered");
        assert!(draft.publish().is_err(), "a disk that is full is no success");
    }

    #[cfg(unix)]
    #[test]
    fn a_draft_keeps_the_mode_of_a_file_and_the_links_to_it() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let scratch = Scratch::new("links");
        let at = |name: &str| scratch.0.join(name);
        let absolute = at("dir/file");
        fs::create_dir(at("dir")).expect("made");
        for (target, link) in [
            ("dir/file", "relative"),
            (absolute.to_str().expect("UTF-8"), "absolute"),
            ("absolute", "of a link"),
            ("../relative", "dir/back"),
            ("dir/new", "to be"),
            ("circle", "circle"),
            ("nowhere/x", "lost"),
        ] {
            symlink(target, at(link)).expect("linked");
        }
        for (place, file, mode) in [
            ("dir/file", "dir/file", 0o600),
            ("relative", "dir/file", 0o640),
            ("absolute", "dir/file", 0o755),
            ("of a link", "dir/file", 0o604),
            ("dir/back", "dir/file", 0o400),
            ("to be", "dir/new", 0),
        ] {
            if mode != 0 {
                fs::write(at(file), "old").expect("written");
                fs::set_permissions(at(file), fs::Permissions::from_mode(mode)).expect("set");
            }
            let mut draft = Draft::create(&at(place)).expect(place);
            draft.file.write_all(place.as_bytes()).expect("written");
            let parts = fs::read_dir(at("dir")).expect("there").count();
            draft.publish().expect("published");
            assert_eq!(fs::read_to_string(at(file)).expect("read"), place);
            let got = fs::metadata(at(file)).expect("there").permissions().mode() & 0o777;
            assert!(mode == 0 || got == mode, "{place}: {got:o}");
            assert_eq!(fs::symlink_metadata(at(place)).expect("there").is_symlink(), place != file);
            assert_eq!(parts, 3, "{place}: the draft is beside the file and the link there");
        }
        assert!(Draft::create(&at("circle")).is_err() && Draft::create(&at("lost")).is_err());
        assert_eq!(scratch.files().len(), 7, "{:?}", scratch.files());
    }

    #[cfg(unix)]
    #[test]
    fn a_check_opens_no_pipe() {
        let scratch = Scratch::new("pipe");
        let pipe = scratch.0.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("POSIX").success());
        // Without a reader, opening it would wait for one.
        assert_eq!(check([&pipe]), Ok(()));
    }

    #[test]
    fn a_place_that_takes_no_files_is_named() {
        let scratch = Scratch::new("place");
        fs::write(scratch.0.join("file"), "").expect("written");
        let error = OutDir::open(&scratch.0.join("file")).expect_err("it is a file");
        assert!(error.starts_with(&format!("cannot write to {}/file: ", scratch.0.display())));
    }
}
