//! `crawl page`: a page of traces that were saved as data.

use std::process::ExitCode;

use mainspring_microscope::Trace;

use crate::cli::Page;
use crate::failure::{Failure, print};
use crate::trace::write_page;

/// Writes the page beside the first trace, or where it was asked for, and says where.
///
/// # Errors
/// One sentence that names the file.
pub fn run(args: &Page) -> Result<ExitCode, Failure> {
    let said = |error: std::io::Error| Failure::Said(error.to_string());
    let traces: Vec<Trace> =
        args.traces.iter().map(Trace::read).collect::<Result<_, _>>().map_err(said)?;
    let path = args.out.clone().unwrap_or_else(|| args.traces[0].with_extension("html"));
    write_page(&path, &traces, args.source.as_deref())?;
    print(&format!("{}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}
