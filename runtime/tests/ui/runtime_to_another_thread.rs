//! A runtime belongs to the thread that built it; a `Remote` goes anywhere.

fn main() {
    let runtime = mainspring::Runtime::new();
    let remote = runtime.remote();
    std::thread::spawn(move || drop(remote));
    std::thread::spawn(move || drop(runtime));
}
