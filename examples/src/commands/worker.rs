//! `crawl worker`: fetches for those who ask by Celery and Redis.

use std::io::Write as _;
use std::process::ExitCode;

use crate::celery::work;
use crate::cli::Worker;
use crate::failure::Failure;
use crate::machine::raise_descriptor_limit;
use crate::stop::Stop;
use crate::value::Count;

/// Works until it is told to end.
///
/// # Errors
/// One sentence: no such Redis, or it does not let us in.
pub fn run(args: &Worker) -> Result<ExitCode, Failure> {
    raise_descriptor_limit()?;
    let address = args.redis.address()?;
    let (stop, now) = (Stop::new(), Stop::new());
    stop.on_ctrl_c_or(&now)?;
    let ready = |what: &str| tell(&format!("ready: {what}"));
    let done = mainspring::run(work(args.clone(), address, &stop, &now, ready))?;
    let mut line = format!("{} tasks done", Count(done.succeeded));
    for (count, what) in [
        (done.failed, "failed"),
        (done.revoked, "revoked"),
        (done.retried, "to be tried again"),
        (done.given_back, "given back"),
        (done.restored, "restored that others were lost with"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {} {what}", Count(count)));
        }
    }
    tell(&line);
    Ok(ExitCode::SUCCESS)
}

fn tell(line: &str) {
    // A worker works on for those who ask, also where what it says is not read.
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).unwrap_or_default();
}
