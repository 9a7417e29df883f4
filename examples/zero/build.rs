#![forbid(unsafe_code)]
//! Makes the loops of which only the diff is written down, in the pages: step 8 refined, and traced.

use std::{env, fs};

#[path = "src/patch.rs"]
mod patch;

fn main() {
    let (home, out) = (env::var("CARGO_MANIFEST_DIR").unwrap(), env::var("OUT_DIR").unwrap());
    let read = |path: &str| {
        println!("cargo::rerun-if-changed={path}");
        fs::read_to_string(format!("{home}/{path}")).unwrap()
    };
    println!("cargo::rerun-if-changed=src/net.rs");
    let step8 = read("src/step8.rs");
    let make = |name: &str, page: &str, old: &str, diff: &str| {
        let new = patch::apply(old, diff).unwrap_or_else(|error| panic!("{page}: {error}"));
        // An included file has no header, and looks for its modules beside itself.
        let text = new.replace("//!", "//").replace("net.rs", &format!("{home}/src/net.rs"));
        fs::write(format!("{out}/{name}.rs"), text).unwrap();
        new
    };
    make("traced", "trace.md", &step8, &patch::blocks(&read("text/trace.md"), "```diff").concat());
    let mut refined = step8;
    for (diff, number) in patch::blocks(&read("text/refine.md"), "```diff").iter().zip(1..) {
        refined = make(&format!("refined{number}"), "refine.md", &refined, diff);
    }
}
