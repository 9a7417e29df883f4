//! A handle belongs to its loop's thread.

fn main() {
    mainspring::run(async {
        let handle = mainspring::spawn(async { 1 });
        std::thread::spawn(move || handle.cancel());
    });
}
