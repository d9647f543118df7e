//! Integers on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use subrosa_encoding::wire;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    #[serde(with = "wire::uint")]
    one: BigUint,
    #[serde(with = "wire::uints")]
    many: Vec<BigUint>,
    #[serde(with = "wire::int")]
    signed: BigInt,
}

/// The same byte strings with lengths in as few bytes as they take: postcard reads longer forms as well.
fn with_short_lengths(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = postcard::take_from_bytes::<usize>(bytes).unwrap();
        out.extend(postcard::to_stdvec(&length).unwrap());
        out.extend(&rest[..length]);
        bytes = &rest[length..];
    }
    out
}

proptest! {
    #[test]
    fn integers_survive_the_wire(
        one in prop::collection::vec(any::<u32>(), 0..40),
        many in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..10), 0..10),
        minus: bool,
    ) {
        let one = BigUint::new(one);
        let many: Vec<_> = many.into_iter().map(BigUint::new).collect();
        let signed = if minus { -BigInt::from(one.clone()) } else { one.clone().into() };
        let bits = one.bits();
        let widest = many.iter().map(BigUint::bits).max().unwrap_or(0);
        let limit = wire::max_uint_len(bits) + wire::max_uints_len(many.len(), widest) + wire::max_int_len(bits);
        let message = Message { one, many, signed };
        let bytes = postcard::to_stdvec(&message).unwrap();
        prop_assert!(bytes.len() <= limit);
        prop_assert_eq!(&postcard::from_bytes::<Message>(&bytes).unwrap(), &message);
        let json = serde_json::to_string(&message).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Message>(&json).unwrap(), &message);
        // Any truncation is an error.
        for end in 0..bytes.len() {
            prop_assert!(postcard::from_bytes::<Message>(&bytes[..end]).is_err());
        }
    }

    /// What a decoder accepts is what the encoder writes: there is no second encoding of anything.
    #[test]
    fn encodings_are_unique(bytes in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..40)) {
        if let Ok((message, rest)) = postcard::take_from_bytes::<Message>(&bytes) {
            let used = bytes.len() - rest.len();
            let lengths = message.one.bits() + message.signed.bits();
            prop_assume!(lengths < 1_000_000);
            prop_assert_eq!(postcard::to_stdvec(&message).unwrap(), with_short_lengths(&bytes[..used]));
        }
    }
}

#[test]
fn wire_bytes_are_pinned() {
    let message = Message {
        one: 0x0102u32.into(),
        many: vec![1u8.into(), 0u8.into(), 0x0a0bu32.into()],
        signed: (-5).into(),
    };
    let bytes = postcard::to_stdvec(&message).unwrap();
    assert_eq!(bytes, [2, 2, 1, 10, 2, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0x0a, 2, 1, 5]);
    let zero = Message { one: 0u8.into(), many: vec![], signed: 0.into() };
    assert_eq!(postcard::to_stdvec(&zero).unwrap(), [0, 0, 1, 0]);
}

#[test]
fn other_encodings_are_refused() {
    let refused: [&[u8]; 12] = [
        &[1, 0, 0, 1, 0],                         // a zero byte as 0
        &[2, 5, 0, 0, 1, 0],                      // 5 with a zero byte above
        &[0, 3, 1, 0, 0, 1, 0],                   // a list whose width is cut
        &[0, 4, 1, 0, 0, 0, 1, 0],                // a width without numbers
        &[0, 5, 0, 0, 0, 0, 7, 1, 0],             // width 0
        &[0, 7, 2, 0, 0, 0, 7, 1, 7, 1, 0],       // no multiple of the width
        &[0, 6, 2, 0, 0, 0, 7, 0, 1, 0],          // wider than the number
        &[0, 5, 0xff, 0xff, 0xff, 0xff, 7, 1, 0], // a width of 4 GiB
        &[0, 0, 0],                               // no sign
        &[0, 0, 1, 1],                            // minus zero
        &[0, 0, 2, 2, 1],                         // another sign
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 1],       // a length beyond the input
    ];
    for bytes in refused {
        assert!(postcard::from_bytes::<Message>(bytes).is_err(), "{bytes:?}");
    }
    let zero = postcard::from_bytes::<Message>(&[0, 0, 1, 0]).unwrap();
    // The lengths are postcard's own affair.
    assert_eq!(postcard::from_bytes::<Message>(&[0x80, 0, 0, 0x81, 0, 0]).unwrap(), zero);
}

proptest! {
    #[test]
    fn shortest_bytes_are_those_of_the_number(digits in prop::collection::vec(any::<u32>(), 0..40)) {
        let value = BigUint::new(digits);
        let bytes = wire::minimal_le(&value);
        prop_assert_ne!(bytes.last(), Some(&0));
        prop_assert_eq!(&BigUint::from_bytes_le(&bytes), &value);
        if value != BigUint::default() {
            prop_assert_eq!(bytes, value.to_bytes_le());
        }
    }
}
