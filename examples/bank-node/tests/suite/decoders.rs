//! Whatever bytes come from outside, decoders return: the functions that are fuzzed in `fuzz`, with arbitrary bytes.

#[path = "../../../../fuzz/src/banks/mod.rs"]
mod banks;

use proptest::prelude::*;

/// Arbitrary bytes, and what looks like the patches that the decoders' harness expects.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let patch = (
        0..40_u8,
        any::<u16>().prop_map(|at| at % 400),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..12),
    );
    let patches = prop::collection::vec(patch, 1..4).prop_map(|patches| {
        let patch = |(nth, at, how, bytes): (u8, u16, u8, Vec<u8>)| {
            let [high, low] = at.to_be_bytes();
            [&[nth, high, low, how, u8::try_from(bytes.len()).unwrap()], bytes.as_slice()].concat()
        };
        patches.into_iter().flat_map(patch).collect()
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), patches]
}

/// A first byte that chooses, and an input.
fn chosen(input: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), input).prop_map(|(first, input)| [&[first], input.as_slice()].concat())
}

/// Records behind a greeting, with plausible lengths.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let record =
        (0..6_u8, any::<u64>(), 0..1200_u32, 0..1200_usize).prop_map(|(kind, number, length, bytes)| {
            let head = [&[kind][..], &number.to_le_bytes()].concat();
            if kind == 1 { [head, length.to_le_bytes().to_vec(), vec![7; bytes]].concat() } else { head }
        });
    (any::<u8>(), prop::collection::vec(record, 0..5)).prop_map(|(piece, records)| {
        let mut greeting = [0; 128];
        greeting[..5].copy_from_slice(b"SBTL\x01");
        [&[piece][..], &greeting, &records.concat()].concat()
    })
}

/// Text that is nearly a table.
fn table() -> impl Strategy<Value = Vec<u8>> {
    let field =
        prop_oneof!["[A-Z][0-9]", "0\\.[0-9]{1,3}", "[0-9]{1,22}", "amber|birch|NaN|-1|1e9|\"|", "\\PC{0,4}"];
    let row = prop::collection::vec(field, 0..7).prop_map(|fields| fields.join(","));
    let header = prop_oneof![
        Just("id,risk_score".to_owned()),
        Just("id_source,bank_source,id_destination,bank_destination,amount".to_owned()),
        "\\PC{0,20}",
    ];
    (header, prop::collection::vec(row, 0..6))
        .prop_map(|(header, rows)| format!("{header}\n{}", rows.join("\n")).into_bytes())
}

macro_rules! decoders_return {
    ($($name:ident: $cases:literal of $input:expr;)*) => {$(
        #[test]
        fn $name() {
            banks::$name(&[]);
            proptest!(ProptestConfig::with_cases($cases), |(input in $input)| banks::$name(&input));
        }
    )*};
}

decoders_return! {
    frames: 2000 of bytes();
    records: 2000 of prop_oneof![bytes(), streams()];
    keygen_rounds: 100 of bytes();
    propagation_rounds: 100 of bytes();
    decryption_rounds: 200 of chosen(bytes());
    renewal_rounds: 200 of chosen(bytes());
    ciphertexts: 2000 of bytes();
    key_files: 500 of bytes();
    checkpoints: 500 of bytes();
    run_records: 1000 of bytes();
    csv: 500 of prop_oneof![bytes(), table()];
    config: 500 of prop_oneof![bytes(), "(name|listen|data|\\[tls\\]|peers|=|\"|\n|[a-z]){0,30}".prop_map(String::into_bytes)];
    audit: 500 of prop_oneof![bytes(), "(\\{\"hash\":\"0\",\"record\":\\{.{0,20}\\}\\}\n){0,3}".prop_map(String::into_bytes)];
}

#[test]
fn what_is_valid_is_accepted() {
    banks::ciphertexts(&[]);
    // Unspoiled runs come to their end, or these panic.
    banks::keygen_rounds(&[]);
    banks::propagation_rounds(&[]);
    for which in 0..2 {
        banks::decryption_rounds(&[which]);
        banks::renewal_rounds(&[which]);
    }
    for which in 0..8 {
        banks::checkpoints(&[which]);
    }
}

/// Found by fuzzing: the parameters of a key of an odd size were looked for, which took half a minute.
#[test]
fn key_sizes_that_are_not_common_are_refused_at_once() {
    let text = include_str!("../../../../fuzz/corpus/config/odd-key-size.toml");
    let parse = |text: &str| bank_node::config::Config::parse(std::path::Path::new("bank.toml"), text);
    let error = parse(text).unwrap_err().to_string();
    assert!(error.contains("`key.bits`: one of 256, 384"), "{error}");
    assert!(parse(&text.replace("5670", "3072")).is_ok());
    let error = parse(&text.replace("5670", "512")).unwrap_err().to_string();
    assert!(error.contains("`key.insecure` allows small keys"), "{error}");
}
