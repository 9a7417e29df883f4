//! `crawl worker`: fetches for those who ask by Celery and Redis.

use std::process::ExitCode;

use crate::celery::work;
use crate::cli::Worker;
use crate::failure::Failure;
use crate::machine::raise_descriptor_limit;
use crate::stop::Stop;
use crate::trace;

/// Works until it is told to end.
///
/// # Errors
/// One sentence: no such Redis, or it does not let us in.
pub fn run(args: &Worker) -> Result<ExitCode, Failure> {
    raise_descriptor_limit()?;
    let (stop, now) = (Stop::new(), Stop::new());
    stop.on_ctrl_c_or(&now)?;
    trace::run("worker", work(args.clone(), &stop, &now))??;
    Ok(ExitCode::SUCCESS)
}
