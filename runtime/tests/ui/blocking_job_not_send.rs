//! A blocking job runs on another thread, and may take only what can go there.

use std::rc::Rc;

fn main() {
    mainspring::run(async {
        let shared = Rc::new(1);
        mainspring::spawn_blocking(move || *shared).await.unwrap()
    });
}
