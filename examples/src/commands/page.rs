//! `crawl page`: a page of traces that were saved as data; or what other viewers and a terminal read.

use std::ffi::OsStr;
use std::fs;
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
    if args.traces.contains(&path) {
        return Err(Failure::Said(format!("{} is a trace that is read", path.display())));
    }
    let extension = path.extension().and_then(OsStr::to_str);
    match (traces.as_slice(), extension) {
        ([trace], Some("json")) => trace.write_chrome(&path).map_err(said)?,
        ([trace], Some("txt")) => {
            let found: String = trace.findings().iter().map(|found| format!("{found}\n")).collect();
            fs::write(&path, trace.dump() + &found).map_err(said)?;
        }
        (_, Some("json" | "txt")) => {
            return Err(Failure::Said("several traces fit on a page only: -o NAME.html".into()));
        }
        _ => write_page(&path, &traces, args.source.as_deref())?,
    }
    print(&format!("{}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}
