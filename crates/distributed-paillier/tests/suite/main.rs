//! Tests of the public interface, in one program: each program compiles the protocol anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_range_loop,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

mod answers;
mod attack;
mod audit;
mod blame;
mod blame_attempts;
mod blame_winner;
mod candidates;
mod chosen_modulus;
mod common;
mod complaints;
mod composite_modulus;
mod conditions;
mod equivocation;
mod frames;
mod honest;
mod key_attacks;
mod keygen;
mod masking;
mod misbehaviour;
mod range_attacks;
mod ranges;
mod steps;
mod trial;
mod winner_attacks;
mod winner_errors;
mod winner_messages;
