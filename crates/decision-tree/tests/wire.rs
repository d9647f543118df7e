//! Queries, answers and stored keys as bytes: what comes back, and what is refused.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)] // test code

mod common;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::Digest;

use common::*;
use subrosa_decision_tree::model::Aggregate;
use subrosa_decision_tree::{
    Answer, ClientKey, CodecError, ConversionKey, Error, Evaluator, KdfCost, MAX_SEALED_BYTES, ParameterSet,
    QuantizedModel, Query, QueryError, Schema, SealError, SealingError,
};

fn cheap() -> KdfCost {
    KdfCost::insecure(8, 1, 1).unwrap()
}

struct World {
    schema: Schema,
    key: ClientKey,
    evaluator: Evaluator,
    rng: ChaCha20Rng,
}

fn world(parameters: ParameterSet, seed: u64) -> World {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let schema = schema(&[3, 2, 1], 3);
    let model = model(&mut rng, &schema, forest(3, 3, 4, Aggregate::Average));
    let evaluator = Evaluator::new(QuantizedModel::new(&model, &schema).unwrap(), parameters).unwrap();
    World { key: ClientKey::generate(parameters, &mut rng), schema, evaluator, rng }
}

fn codec<T>(result: subrosa_decision_tree::Result<T>) -> CodecError {
    match result.map(|_| ()) {
        Err(Error::Codec(error)) => error,
        other => panic!("not a codec error: {other:?}"),
    }
}

#[test]
fn a_row_travels_as_bytes() {
    for parameters in ParameterSet::ALL {
        if parameters == ParameterSet::SmallQuery {
            continue; // Too noisy for scores; see below.
        }
        let World { schema, key, evaluator, mut rng } = world(parameters, 1);
        for _ in 0..20 {
            let row = row(&mut rng, &schema);
            let sent = key.encrypt(&schema, &row, &mut rng).unwrap();
            let bytes = sent.to_bytes();
            assert_eq!(bytes.len(), Query::size(&schema, parameters));
            let query = Query::from_bytes(&bytes, &schema, parameters).unwrap();
            assert!(query == sent);
            let bytes = evaluator.evaluate(&query, &mut rng).unwrap().to_bytes();
            assert_eq!(bytes.len(), evaluator.plan().answer_bytes);
            let answer = Answer::from_bytes(&bytes, &schema, parameters).unwrap();
            assert!(key.decrypt(&answer).unwrap() == evaluator.model().predict(&row).unwrap());
        }
    }
}

/// Under equal seeds, the difference of two queries is that of their rows, for everybody to see.
#[test]
fn every_query_has_a_seed_of_its_own() {
    const SEED: std::ops::Range<usize> = 40..72;
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let schema = schema(&[3, 2, 1], 3);
    for parameters in ParameterSet::ALL {
        let key = ClientKey::generate(parameters, &mut rng);
        let rows = [[0.1, 1.0, 0.0]; 3];
        let mut queries = key.encrypt_batch(&schema, &rows, &mut rng).unwrap();
        queries.extend(rows.map(|row| key.encrypt(&schema, &row, &mut rng).unwrap()));
        let queries: Vec<Vec<u8>> = queries.iter().map(Query::to_bytes).collect();
        for (index, one) in queries.iter().enumerate() {
            for other in &queries[index + 1..] {
                assert_eq!(one[..SEED.start], other[..SEED.start]);
                assert_ne!(one[SEED], other[SEED], "{parameters:?}");
                let pairs = || one[SEED.end..].iter().zip(&other[SEED.end..]);
                // By chance, one byte in 256.
                assert!(pairs().filter(|(a, b)| a == b).count() * 128 < pairs().len(), "{parameters:?}");
            }
        }
    }
}

#[test]
fn rows_on_another_grid_are_not_encrypted() {
    let World { schema, key, mut rng, .. } = world(ParameterSet::Standard, 13);
    let finer = common::schema(&[4, 2, 1], 3);
    let row = finer.quantize(&[1.0, 1.0, 0.0]).unwrap();
    assert!(matches!(key.encrypt_quantized(&schema, &row, &mut rng), Err(Error::Schema(_))));
    let longer = common::schema(&[3, 2, 1, 1], 3).quantize(&[0.0; 4]).unwrap();
    assert!(matches!(key.encrypt_quantized(&schema, &longer, &mut rng), Err(Error::Schema(_))));
    assert!(key.encrypt_quantized(&schema, &schema.quantize(&[1.0, 1.0, 0.0]).unwrap(), &mut rng).is_ok());
}

#[test]
fn queries_of_another_kind_version_set_or_schema_are_refused() {
    let World { schema, key, evaluator, mut rng } = world(ParameterSet::Standard, 2);
    let query = key.encrypt(&schema, &[0.0; 3], &mut rng).unwrap();
    let bytes = query.to_bytes();
    let answer = evaluator.evaluate(&query, &mut rng).unwrap().to_bytes();
    let read =
        |bytes: &[u8], schema: &Schema, parameters| codec(Query::from_bytes(bytes, schema, parameters));
    let other = schema.clone().with_span(64).unwrap();
    assert_eq!(read(&bytes, &other, ParameterSet::Standard), CodecError::Schema);
    assert_eq!(read(&bytes, &schema, ParameterSet::LowNoise), CodecError::Parameters);
    assert_eq!(read(&answer, &schema, ParameterSet::Standard), CodecError::Kind);
    let changed = |position: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[position] = value;
        read(&bytes, &schema, ParameterSet::Standard)
    };
    assert_eq!(changed(0, b'X'), CodecError::Kind);
    assert_eq!(changed(5, 9), CodecError::Version { found: 9 });
    assert_eq!(changed(6, 1), CodecError::Version { found: 258 });
    assert_eq!(changed(7, 99), CodecError::Parameters);
    assert_eq!(changed(8, bytes[8] ^ 1), CodecError::Schema);
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(read(&longer, &schema, ParameterSet::Standard), CodecError::Length { .. }));
    for end in (0..bytes.len()).step_by(97).chain(0..60) {
        read(&bytes[..end], &schema, ParameterSet::Standard);
    }
    assert_eq!(codec(Answer::from_bytes(&bytes, &schema, ParameterSet::Standard)), CodecError::Kind);
}

#[test]
fn a_query_of_another_schema_or_set_is_not_evaluated() {
    let World { schema, key, evaluator, mut rng } = world(ParameterSet::Standard, 3);
    let other = schema.clone().with_span(64).unwrap();
    let query = key.encrypt(&other, &[0.0; 3], &mut rng).unwrap();
    assert!(matches!(evaluator.evaluate(&query, &mut rng), Err(Error::Query(QueryError::Schema))));
    let low = ClientKey::generate(ParameterSet::LowNoise, &mut rng);
    let query = low.encrypt(&schema, &[0.0; 3], &mut rng).unwrap();
    assert!(matches!(evaluator.evaluate(&query, &mut rng), Err(Error::Query(QueryError::Parameters))));
    let query = key.encrypt(&schema, &[0.0; 3], &mut rng).unwrap();
    let answer = evaluator.evaluate(&query, &mut rng).unwrap();
    assert!(matches!(low.decrypt(&answer), Err(Error::Answer(_))));
}

#[test]
fn every_field_of_an_answer_is_checked() {
    let World { schema, key, evaluator, mut rng } = world(ParameterSet::Standard, 4);
    let query = key.encrypt(&schema, &[0.0; 3], &mut rng).unwrap();
    let bytes = evaluator.evaluate(&query, &mut rng).unwrap().to_bytes();
    let read = |bytes: &[u8]| Answer::from_bytes(bytes, &schema, ParameterSet::Standard);
    for end in 0..bytes.len() {
        codec(read(&bytes[..end]));
    }
    codec(read(&[&bytes[..], &[0]].concat()));
    codec(read(&vec![0; (1 << 20) + 1]));
    // Header, coding and reading: every other value of every byte is refused or read without a panic.
    for position in 0..110 {
        for value in 0..=255 {
            let mut bytes = bytes.clone();
            bytes[position] = value;
            if let Ok(answer) = read(&bytes) {
                let _ = key.decrypt(&answer).unwrap();
            }
        }
    }
}

#[test]
fn a_stored_key_is_the_same_key() {
    let World { schema, key, evaluator, mut rng } = world(ParameterSet::LowNoise, 5);
    let stored = key.seal(b"correct horse", cheap(), &mut rng).unwrap();
    assert_ne!(stored, key.seal(b"correct horse", cheap(), &mut rng).unwrap());
    let opened = ClientKey::unseal(&stored, b"correct horse").unwrap();
    let row = row(&mut rng, &schema);
    let query = key.encrypt(&schema, &row, &mut rng).unwrap();
    let answer = evaluator.evaluate(&query, &mut rng).unwrap();
    assert!(opened.decrypt(&answer).unwrap() == evaluator.model().predict(&row).unwrap());
    assert_eq!(format!("{:?}", opened).matches("redacted").count(), 1);

    let error =
        |bytes: &[u8], passphrase: &[u8]| ClientKey::unseal(bytes, passphrase).map(|_| ()).unwrap_err();
    assert!(matches!(sealing(error(&stored, b"wrong horse")), SealingError::WrongPassphrase));
    assert!(matches!(sealing(error(&stored, b"")), SealingError::WrongPassphrase));
    let empty = key.seal(b"", cheap(), &mut rng).unwrap_err();
    assert!(matches!(sealing(empty), SealingError::EmptyPassphrase));
    for end in 0..stored.len() {
        assert!(matches!(sealing(error(&stored[..end], b"correct horse")), SealingError::Truncated { .. }));
    }
    let longer = [&stored[..], &[0]].concat();
    assert!(matches!(sealing(error(&longer, b"correct horse")), SealingError::Checksum));
    assert!(matches!(sealing(error(&[0; MAX_SEALED_BYTES + 1], b"x")), SealingError::TooLong { .. }));
    for bit in 0..8 * stored.len() {
        let mut changed = stored.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = sealing(error(&changed, b"correct horse"));
        let damage = matches!(error, SealingError::Checksum | SealingError::Truncated { .. });
        assert!(damage || bit < 80, "{bit}: {error}");
    }
    // With a checksum that fits: the parameter set, salt, nonce, bits and tag are bound.
    let forged = |place: usize, value: u8| {
        let mut bytes = stored[..stored.len() - 32].to_vec();
        bytes[place] ^= value;
        let checksum = sha2::Sha256::digest(&bytes);
        error(&[&bytes[..], &checksum].concat(), b"correct horse")
    };
    assert!(matches!(forged(11, 0x80), Error::Seal(SealError::Parameters { code: 0x82 })));
    for place in [28, 50, 80, 200, stored.len() - 33] {
        assert!(matches!(sealing(forged(place, 1)), SealingError::WrongPassphrase), "{place}");
    }
    assert!(matches!(sealing(forged(11, 3)), SealingError::WrongPassphrase));
    assert!(matches!(sealing(forged(19, 0x80)), SealingError::Cost { .. }));
}

fn sealing(error: Error) -> SealingError {
    match error {
        Error::Seal(SealError::Sealing(error)) => error,
        other => panic!("not an error of sealing: {other:?}"),
    }
}

proptest! {
    #[test]
    fn random_bytes_are_typed_errors(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), keep in 0usize..60) {
        let World { schema, evaluator, key, mut rng } = world(ParameterSet::Standard, 6);
        let query = key.encrypt(&schema, &[0.0; 3], &mut rng).unwrap();
        let answer = evaluator.evaluate(&query, &mut rng).unwrap().to_bytes();
        // Random bytes behind a proper beginning reach further.
        for head in [&query.to_bytes()[..keep], &answer[..keep], &[]] {
            let bytes = [head, &bytes[..]].concat();
            let _ = codec(Query::from_bytes(&bytes, &schema, ParameterSet::Standard));
            let _ = codec(Answer::from_bytes(&bytes, &schema, ParameterSet::Standard));
            prop_assert!(ClientKey::unseal(&bytes, b"passphrase").is_err());
        }
    }
}

#[test]
fn a_query_of_random_bytes_is_evaluated_to_some_answer() {
    let World { schema, key, evaluator, mut rng } = world(ParameterSet::Standard, 7);
    let mut bytes = key.encrypt(&schema, &[0.0; 3], &mut rng).unwrap().to_bytes();
    rng.fill(&mut bytes[40..]);
    let query = Query::from_bytes(&bytes, &schema, ParameterSet::Standard).unwrap();
    let answer = evaluator.evaluate(&query, &mut rng).unwrap();
    assert!(key.decrypt(&answer).unwrap().class().unwrap() < 3);
}

#[test]
fn small_queries_and_their_key_travel_as_bytes() {
    let parameters = ParameterSet::SmallQuery;
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let schema = schema(&[10, 10, 10, 1, 1, 1, 1], 2);
    let model = model(&mut rng, &schema, single_tree(2, 25));
    let evaluator = Evaluator::new(QuantizedModel::new(&model, &schema).unwrap(), parameters).unwrap();
    let key = ClientKey::generate(parameters, &mut rng);
    let bytes = key.conversion_key(&mut rng).unwrap().to_bytes();
    assert_eq!(bytes.len(), ConversionKey::size(parameters));
    assert!(bytes.len() <= 3_000_000 && Query::size(&schema, parameters) <= 40_000);
    let prepared = ConversionKey::from_bytes(&bytes, parameters).unwrap().prepare();
    for _ in 0..20 {
        let row = row(&mut rng, &schema);
        let sent = key.encrypt(&schema, &row, &mut rng).unwrap();
        let query = Query::from_bytes(&sent.to_bytes(), &schema, parameters).unwrap();
        assert!(query == sent);
        assert!(matches!(evaluator.evaluate(&query, &mut rng), Err(Error::Query(QueryError::KeyMissing))));
        let bytes = evaluator.evaluate_with(&prepared, &query, &mut rng).unwrap().to_bytes();
        let answer = Answer::from_bytes(&bytes, &schema, parameters).unwrap();
        assert!(key.decrypt(&answer).unwrap() == evaluator.model().predict(&row).unwrap());
    }
    for end in (0..bytes.len()).step_by(9_973) {
        codec(ConversionKey::from_bytes(&bytes[..end], parameters));
    }
    codec(ConversionKey::from_bytes(&[&bytes[..], &[0]].concat(), parameters));
    assert_eq!(codec(ConversionKey::from_bytes(&bytes, ParameterSet::Standard)), CodecError::Parameters);
    assert!(ClientKey::generate(ParameterSet::Standard, &mut rng).conversion_key(&mut rng).is_none());
    let opened = ClientKey::unseal(&key.seal(b"x", cheap(), &mut rng).unwrap(), b"x").unwrap();
    assert_eq!(opened.parameters(), parameters);
}
