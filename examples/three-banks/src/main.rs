//! Three banks trace risk together.
fn main() {}
