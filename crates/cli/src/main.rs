//! Arguments, rendering, exit codes: the binary.
fn main() {}
