//! Sleeps and limits: what comes first?

use std::time::Duration;

use zero::step5::{block_on, sleep, spawn, timeout};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

async fn say_after(n: u64) {
    sleep(ms(n)).await;
    println!("{n} ms are over");
}

fn main() {
    block_on(async {
        let tasks = [600, 200, 400].map(|n| spawn(say_after(n)));
        println!("main waits for three");
        for task in tasks {
            task.await.unwrap();
        }
        let early = sleep(ms(500));
        println!("made, not awaited; main sleeps for longer than that");
        sleep(ms(510)).await;
        match timeout(ms(30), early).await {
            Some(()) => println!("it was over already"),
            None => println!("it had not begun"),
        }
        println!("an hour, for 10 ms at most: {:?}", timeout(ms(10), sleep(ms(3_600_000))).await);
        println!("ready at once, for 0 ms at most: {:?}", timeout(ms(0), async { 1 }).await);
    });
}
