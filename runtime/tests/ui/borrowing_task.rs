//! A task may outlive the function that spawned it, so it cannot borrow from there.

fn main() {
    mainspring::run(async {
        let text = String::from("local");
        let handle = mainspring::spawn(async { text.len() });
        handle.await.unwrap()
    });
}
