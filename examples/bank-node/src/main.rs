//! One bank as a process of its own.

#![forbid(unsafe_code)]

fn main() {}
