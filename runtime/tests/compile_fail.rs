//! What must not compile, and what the compiler then says.
//!
//! After a change of compiler or of texts: `TRYBUILD=overwrite cargo test -p mainspring --test
//! compile_fail`, and read what it wrote.

#[test]
fn what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
