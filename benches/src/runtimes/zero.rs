//! The loop that `examples/zero` builds in eight steps, and its four refinements.

use super::{Connects, Duplex, Sleeps, Spawns, Unwrapped};
use std::future::Future;
use std::time::Duration;

/// An adaptor for each of the loops, which have the same interface.
macro_rules! adaptors {
    ($($adaptor:ident = $zero:ident: $documentation:literal),*) => { $(
        #[doc = $documentation]
        #[derive(Debug)]
        pub struct $adaptor;

        impl Spawns for $adaptor {
            fn run<F: Future + 'static>(main: F) -> F::Output
            where
                F::Output: 'static,
            {
                zero::$zero::block_on(main)
            }

            #[inline(always)]
            fn spawn<F: Future + 'static>(
                future: F,
            ) -> impl Future<Output = F::Output> + 'static
            where
                F::Output: 'static,
            {
                Unwrapped(zero::$zero::spawn(future))
            }

            fn spawn_detached<F: Future<Output = ()> + 'static>(future: F) {
                drop(zero::$zero::spawn(future));
            }
        }

        impl Sleeps for $adaptor {
            fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
                zero::$zero::sleep(duration)
            }

            fn timeout<F: Future + 'static>(
                duration: Duration,
                future: F,
            ) -> impl Future<Output = Option<F::Output>>
            where
                F::Output: 'static,
            {
                zero::$zero::timeout(duration, future)
            }
        }

        impl Connects for $adaptor {
            type Stream = zero::$zero::net::TcpStream;

            async fn pairs(count: usize) -> Vec<(Self::Stream, Self::Stream)> {
                let address = ([127, 0, 0, 1], 0).into();
                let listener = zero::$zero::net::TcpListener::bind(address).unwrap();
                let mut pairs = Vec::with_capacity(count);
                for _ in 0..count {
                    let client = Self::Stream::connect(listener.local_addr().unwrap());
                    let client = client.await.unwrap();
                    pairs.push((client, listener.accept().await.unwrap()));
                }
                pairs
            }
        }

        impl Duplex for zero::$zero::net::TcpStream {
            fn read(&mut self, mut buffer: Vec<u8>) -> impl Future<Output = (usize, Vec<u8>)> {
                async move {
                    let n = Self::read(self, &mut buffer).await.unwrap();
                    (n, buffer)
                }
            }

            fn write_all(&mut self, buffer: Vec<u8>) -> impl Future<Output = Vec<u8>> {
                async move {
                    Self::write_all(self, &buffer).await.unwrap();
                    buffer
                }
            }
        }
    )* };
}

adaptors!(
    Step8 = step8: "Step 8 as it is.",
    Refined1 = refined1: "With a look at the poller only each 61st busy turn.",
    Refined2 = refined2: "And the clock and the inbox looked at less often.",
    Refined3 = refined3: "And the waker kept in its slot.",
    Refined4 = refined4: "And a hashed table."
);
