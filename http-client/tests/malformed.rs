//! What the decoder makes of malformed, odd and merely rare responses, row by row.
//!
//! The rows stand in `malformed.wire`: under a heading with the section that rules on them, the
//! kind of request and the bytes that came back, and below that, indented, the whole outcome. Each
//! is fed whole, byte by byte, and cut in two at every position.

mod support {
    pub mod drive;
    pub mod table;
}

use std::fmt::Write;
use support::{drive, table};

#[test]
fn every_row_has_its_outcome() {
    let mut wrong = String::new();
    for row in table::rows() {
        let got = drive::outcome(row.request_kind(), &row.wire);
        if got != row.outcome {
            writeln!(wrong, "{}\n{}\n    {got}\n", row.section, row.line).unwrap();
        }
    }
    assert!(wrong.is_empty(), "rows that came out otherwise:\n\n{wrong}");
}
