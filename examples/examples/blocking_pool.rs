//! Functions that block run on a bounded pool of threads, and are awaited like any other future.
//! The loop goes on meanwhile.
//!
//! Here ten calls block until all ten of them have begun, which takes ten threads.
#![forbid(unsafe_code)]

use std::error::Error;
use std::sync::{Arc, Barrier};

use mainspring::future::gather;
use mainspring::{Runtime, spawn_blocking};
use mainspring_microscope::from_env;

const THREADS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = from_env(Runtime::builder().blocking_threads(THREADS)).build()?;
    runtime.block_on(async {
        let all_here = Arc::new(Barrier::new(THREADS));
        let calls = (0..THREADS).map(|n| {
            let all_here = all_here.clone();
            spawn_blocking(move || {
                all_here.wait();
                n * n
            })
        });
        println!("{:?}", gather(calls).await?);

        let panicking =
            spawn_blocking::<_, ()>(|| std::panic::resume_unwind(Box::new("no such file")));
        if let Err(error) = panicking.await {
            println!("a panic comes back as an error: {:?}", error.panic_message());
        }
        Ok(())
    })
}
