//! Below every await is a future whose result is set somewhere: here by hand. What awaits the
//! receiver resumes when the sender is set, and learns it if that can no longer happen.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use mainspring::future::oneshot;
use mainspring::time::{Clock, now, sleep};
use mainspring::{Runtime, spawn};

fn main() -> Result<(), Box<dyn Error>> {
    let mut runtime = Runtime::builder().clock(Clock::Virtual).build()?;
    runtime.block_on(async {
        let start = now();
        let (sender, receiver) = oneshot();
        let waiting = spawn(async move {
            let value = receiver.await;
            println!("{:?} resumed with {value:?}", now() - start);
        });
        sleep(Duration::from_secs(1)).await;
        println!("{:?} set: {:?}", now() - start, sender.set("a value"));
        waiting.await?;

        let (sender, receiver) = oneshot::<u32>();
        drop(sender);
        println!("without a sender: {:?}", receiver.await);

        let (sender, receiver) = oneshot();
        drop(receiver);
        println!("without a receiver the value comes back: {:?}", sender.set(7));
        Ok(())
    })
}
