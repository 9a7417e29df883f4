//! Files that are whole or not there.

use std::io;
use std::path::Path;

/// Writes a file beside its place and moves it there: a reader never sees half of it. A device or a
/// pipe in that place is written to, not replaced.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
    };
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return std::fs::write(path, bytes).map_err(named);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // The first error is the one to report; that the remains stay is a consequence.
        drop(std::fs::remove_file(&beside));
        named(error)
    })
}
