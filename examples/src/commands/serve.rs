//! `crawl serve`: the slow site alone.

use std::io;
use std::process::ExitCode;
use std::thread;

use mainspring::Runtime;
use mainspring_microscope::from_env;

use crate::cli::Serve;
use crate::failure::{Failure, print};
use crate::machine::raise_descriptor_limit;
use crate::site::host;
use crate::site::server::Site;
use crate::stop::Stop;
use crate::value::{Count, Took};

/// Runs the site until Ctrl-C. Its first line says where it listens; a parent process reads that.
///
/// # Errors
/// One sentence: the address is taken or not ours, or accepting failed.
pub fn run(args: &Serve) -> Result<ExitCode, Failure> {
    raise_descriptor_limit()?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    if args.until_eof {
        watch_stdin(stop.clone())?;
    }
    let site = Site { count: args.site.pages, delay: args.site.delay };
    let mut printed = Ok(());
    let builder = from_env(Runtime::builder());
    host::run(builder, args.listen, site, stop.clone(), |address| {
        printed = print(&format!(
            "listening on http://{address}/: {} movies, {} before each answer, Ctrl-C to stop\n",
            Count(u64::from(site.count)),
            Took(site.delay),
        ));
        if printed.is_err() {
            stop.ask();
        }
    })?;
    printed?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for a stop when standard input ends, as it does when a parent process does.
fn watch_stdin(stop: Stop) -> Result<(), Failure> {
    let watch = move || {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).unwrap_or_default();
        stop.ask();
    };
    let thread = thread::Builder::new().name("stdin".to_owned()).spawn(watch);
    thread.map(drop).map_err(|error| Failure::Said(format!("cannot start a thread: {error}")))
}
