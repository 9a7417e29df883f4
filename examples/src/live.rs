//! Watching a run while it goes on: `--live`, and the dump at `Ctrl-\`.

use std::sync::Arc;

use mainspring_microscope::Recorder;
use mainspring_microscope::live::{Live, Options, SLOW_POLL, Show};

use crate::failure::Failure;
use crate::stop::Stop;

/// Watches the loop whose run is recorded here. `Ctrl-\` prints a dump of it from now on, also
/// while the loop is blocked. With `view`, all that the loop does is shown on the terminal, or told
/// in a line a second if there is none, and so is every poll that lasts too long.
///
/// # Errors
/// One sentence: no thread for it, or a terminal that refuses.
pub fn watch(recorder: &Recorder, view: bool, title: &str, stop: &Stop) -> Result<Live, Failure> {
    let stop = stop.clone();
    let options = Options {
        // The reader of a result has not asked for remarks between its lines.
        slow_poll: view.then_some(SLOW_POLL),
        title: title.to_owned(),
        interrupt: Some(Arc::new(move || stop.ask())),
        ..Options::default()
    };
    let show = if view { Show::best() } else { Show::Nothing };
    let cannot = |error| Failure::Said(format!("cannot watch the loop: {error}"));
    let live = Live::start(recorder, show, options).map_err(cannot)?;
    #[cfg(unix)]
    mainspring_microscope::live::dump_on_quit(live.handle()).map_err(cannot)?;
    Ok(live)
}
