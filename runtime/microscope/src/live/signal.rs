//! `Ctrl-\`: a dump of the running program.

use std::io::{self, Write};

use signal_hook::consts::SIGQUIT;
use signal_hook::iterator::Signals;

use super::Handle;

/// From now on, SIGQUIT (`Ctrl-\` in a terminal) prints [`Handle::dump`] to stderr instead of ending
/// the process, also while the loop is blocked.
///
/// # Errors
/// If the operating system refuses the handler or a thread.
pub fn dump_on_quit(handle: Handle) -> io::Result<()> {
    let mut signals = Signals::new([SIGQUIT])?;
    std::thread::Builder::new().name("mainspring-dump".into()).spawn(move || {
        for _ in signals.forever() {
            // Where stderr is closed, there is nothing to say it to.
            writeln!(io::stderr(), "\n{}", handle.dump()).unwrap_or_default();
        }
    })?;
    Ok(())
}
