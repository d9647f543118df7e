//! Whatever bytes come from outside, decoders return: the functions that are fuzzed in `fuzz`, with arbitrary bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)] // test code

#[path = "../../../fuzz/src/trees.rs"]
mod trees;

use proptest::prelude::*;

/// Patches of a valid file: place, length and bytes of each.
fn patches() -> impl Strategy<Value = Vec<u8>> {
    let patch = (0..600_u16, prop::collection::vec(any::<u8>(), 0..12));
    prop::collection::vec(patch, 1..4).prop_map(|patches| {
        let patch = |(at, bytes): (u16, Vec<u8>)| {
            [&at.to_be_bytes()[..], &[u8::try_from(bytes.len()).unwrap()], &bytes].concat()
        };
        patches.into_iter().flat_map(patch).collect()
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), patches()]
}

proptest! {
    #[test]
    fn messages(which in any::<u8>(), input in bytes()) {
        trees::tree_messages(&[&[which], &input[..]].concat());
    }

    #[test]
    fn requests_and_replies(input in bytes()) {
        trees::tree_service(&input);
    }

    #[test]
    fn models(input in prop_oneof![bytes(), "(\\{|\\}|\\[|\\]|:|,|\"[a-z_]{1,9}\"|[0-9.e-]{1,5}){0,40}".prop_map(String::into_bytes)]) {
        trees::models(&input);
    }
}

#[test]
fn what_is_valid_is_accepted() {
    // Without patches, the valid ones are read and used.
    for which in 0..4 {
        trees::tree_messages(&[which]);
    }
    trees::tree_service(&[]);
}
