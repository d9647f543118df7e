//! Banks that cheat, each in its own way, among banks that run the shipped protocol: what they get away with, and what they
//! read.
//!
//! Each test says in its name what the cheater does. It ends with two facts: how the honest banks end, and what the cheater
//! knows afterwards.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, reason = "test code")]

mod bank;
mod decryption;
mod deviation;
mod noise;
mod replay;
mod resumption;
mod room;
mod scene;
mod scores;
mod sizes;
mod stray;
mod theft;
mod tracer;
mod wire;
mod withheld;
