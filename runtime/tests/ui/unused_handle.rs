//! A handle that is thrown away without a word detaches its task: the compiler asks.
#![deny(unused_must_use)]

fn main() {
    mainspring::run(async {
        mainspring::spawn(async {});
    });
}
