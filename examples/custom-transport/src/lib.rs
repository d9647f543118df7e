#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(
    missing_debug_implementations,
    reason = "an example: nothing here is printed, and tokens must not be"
)]

pub mod bank;
pub mod http;
pub mod site;
