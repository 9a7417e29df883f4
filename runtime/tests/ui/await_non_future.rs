//! Awaiting what is no future is an error of the compiler, not of the program.

fn main() {
    mainspring::run(async {
        let number = 7;
        number.await
    });
}
