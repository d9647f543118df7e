//! A client and a server over a network, and what each makes of a faulty other.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)] // test code

mod common;

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use common::*;
use subrosa_decision_tree::import::ImportOptions;
use subrosa_decision_tree::service::{
    self, Admission, RateLimit, Refusal, Served, ServiceError, ServiceSettings,
};
use subrosa_decision_tree::{ClientKey, Error, Evaluator, Model, ParameterSet, QuantizedModel, Schema};
use subrosa_transport::{Deadline, FailureKind, MemoryNetwork, MemoryTransport, PartyId, Transport};

const SERVER: PartyId = PartyId::new(0);
const CLIENT: PartyId = PartyId::new(1);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn evaluator() -> (Evaluator, Schema) {
    evaluator_with(ParameterSet::Standard)
}

fn evaluator_with(parameters: ParameterSet) -> (Evaluator, Schema) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let schema = schema(&[3, 2, 1], 3);
    let model = model(&mut rng, &schema, single_tree(3, 6));
    (Evaluator::new(QuantizedModel::new(&model, &schema).unwrap(), parameters).unwrap(), schema)
}

/// Serves while `client` runs; returns what the server says in the end.
fn with_server(settings: ServiceSettings, client: impl FnOnce(&mut MemoryTransport) + Send) -> Served {
    with_evaluator(evaluator().0, settings, client)
}

fn with_evaluator(
    evaluator: Evaluator,
    settings: ServiceSettings,
    client: impl FnOnce(&mut MemoryTransport) + Send,
) -> Served {
    let [mut at_server, mut at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let rng = &mut ChaCha20Rng::seed_from_u64(2);
            service::serve(&mut at_server, CLIENT, &evaluator, &settings, rng).unwrap()
        });
        client(&mut at_client);
        drop(at_client);
        server.join().unwrap()
    })
}

#[test]
fn verdicts_over_a_network() {
    let served = with_server(ServiceSettings::default(), |network| {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let terms = service::terms(network, SERVER, soon()).unwrap();
        let (evaluator, schema) = evaluator();
        assert!(terms.schema == schema && terms.parameters == ParameterSet::Standard);
        let key = ClientKey::generate(terms.parameters, &mut rng);
        let rows: Vec<Vec<f64>> = (0..30).map(|_| row(&mut rng, &schema)).collect();
        let verdicts = service::ask(network, SERVER, &key, &schema, &rows, soon(), &mut rng).unwrap();
        for (row, verdict) in rows.iter().zip(&verdicts) {
            assert!(*verdict == evaluator.model().predict(row).unwrap());
        }
        assert_eq!(verdicts.len(), 30);
    });
    assert_eq!((served.answered, served.refused), (30, 0));
}

#[test]
fn refusals_are_typed_and_do_not_end_the_exchange() {
    let served = with_server(ServiceSettings::default(), |network| {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let (_, schema) = evaluator();
        let refusal = |result: subrosa_decision_tree::Result<_>| match result.map(|_: Vec<_>| ()) {
            Err(Error::Service(ServiceError::Refused(refusal))) => refusal,
            other => panic!("{other:?}"),
        };
        let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
        let other = schema.clone().with_span(64).unwrap();
        let asked = service::ask(network, SERVER, &key, &other, &[[0.0; 3]], soon(), &mut rng);
        assert_eq!(refusal(asked), Refusal::Schema);
        let low = ClientKey::generate(ParameterSet::LowNoise, &mut rng);
        let asked = service::ask(network, SERVER, &low, &schema, &[[0.0; 3]], soon(), &mut rng);
        assert_eq!(refusal(asked), Refusal::Parameters);
        for (frame, code) in [
            (&b""[..], 2),
            (b"SRDS", 2),
            (b"XXXX\x02\0\x01", 2),
            (b"XXXX\x02\0\x02", 2),
            (b"SRDS\x03\0\x02", 1),
            (b"SRDS\0\x01\x02", 1),
            (b"SRDS\x02\0\x09", 2),
            (b"SRDS\x02\0\x02short", 2),
        ] {
            network.send(SERVER, frame).unwrap();
            assert_eq!(network.receive(SERVER, soon()).unwrap(), [b"SRDS\x02\0\x05", &[code][..]].concat());
        }
        assert_eq!(
            service::ask(network, SERVER, &key, &schema, &[[0.0; 3]], soon(), &mut rng).unwrap().len(),
            1
        );
    });
    assert_eq!((served.answered, served.refused), (1, 10));
}

#[test]
fn a_rate_limit_holds_over_all_connections_of_a_client() {
    let limit = RateLimit { queries: 3, period: Duration::from_secs(3_600) };
    let admission = Some(Arc::new(Admission::per_client(limit)));
    let settings = ServiceSettings { admission, ..ServiceSettings::default() };
    let served = with_server(settings.clone(), |network| {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let (_, schema) = evaluator();
        let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
        let asked = service::ask(network, SERVER, &key, &schema, &[[0.0; 3]; 9], soon(), &mut rng);
        assert!(matches!(asked, Err(Error::Service(ServiceError::Refused(Refusal::RateLimit)))));
        // Terms are free, and the refusal of the query that was sent ahead is not taken for them.
        service::terms(network, SERVER, soon()).unwrap();
    });
    assert_eq!((served.answered, served.refused), (3, 2));
    // A new connection does not begin with clean books.
    let served = with_server(settings, |network| {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
        let asked = service::ask(network, SERVER, &key, &evaluator().1, &[[0.0; 3]], soon(), &mut rng);
        assert!(matches!(asked, Err(Error::Service(ServiceError::Refused(Refusal::RateLimit)))));
    });
    assert_eq!((served.answered, served.refused), (0, 1));
}

#[test]
fn a_silent_client_is_let_go() {
    let [mut at_server, at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
    let settings = ServiceSettings { idle: Duration::from_millis(20), admission: None };
    let rng = &mut ChaCha20Rng::seed_from_u64(6);
    let served = service::serve(&mut at_server, CLIENT, &evaluator().0, &settings, rng).unwrap();
    assert_eq!(served, Served::default());
    drop(at_client);
}

#[test]
fn a_client_refuses_what_is_no_reply() {
    let (_, schema) = evaluator();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let key = ClientKey::generate(ParameterSet::Standard, &mut rng);
    for reply in [&b""[..], b"SRDS\x02\0\x03", b"SRDS\x02\0\x05\x63", b"SRDS\x02\0\x04nonsense"] {
        let [mut at_server, mut at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
        at_server.send(CLIENT, reply).unwrap();
        let asked = service::ask(&mut at_client, SERVER, &key, &schema, &[[0.0; 3]], soon(), &mut rng);
        assert!(matches!(asked, Err(Error::Service(ServiceError::Reply) | Error::Codec(_))));
    }
    let [mut at_server, mut at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
    at_server.send(CLIENT, b"SRDS\0\x01\x05\x01").unwrap();
    let asked = service::terms(&mut at_client, SERVER, soon());
    assert!(matches!(asked, Err(Error::Service(ServiceError::Version { found: 1 }))));
    // An answer is one only in a frame that says so.
    let query = key.encrypt(&schema, &[0.0; 3], &mut rng).unwrap();
    let answer = evaluator().0.evaluate(&query, &mut rng).unwrap().to_bytes();
    for (kind, is_answer) in [(4, true), (2, false), (3, false), (7, false)] {
        let [mut at_server, mut at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
        at_server.send(CLIENT, &[b"SRDS\x02\0", &[kind][..], &answer].concat()).unwrap();
        let answered = service::exchange(&mut at_client, SERVER, &query, &schema, soon());
        let refused = matches!(answered, Err(Error::Service(ServiceError::Reply)));
        assert_eq!((answered.is_ok(), refused), (is_answer, !is_answer), "kind {kind}");
    }
    let [at_server, mut at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
    let asked = service::terms(&mut at_client, SERVER, Deadline::after(Duration::from_millis(20)));
    assert!(matches!(asked, Err(Error::Service(ServiceError::Transport(error))) if error.is_timeout()));
    drop(at_server);
}

#[test]
fn a_small_query_needs_an_introduction() {
    let (evaluator, schema) = evaluator_with(ParameterSet::SmallQuery);
    let model = evaluator.model().clone();
    with_evaluator(evaluator, ServiceSettings::default(), |network| {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        let key = ClientKey::generate(ParameterSet::SmallQuery, &mut rng);
        let rows: Vec<Vec<f64>> = (0..5).map(|_| row(&mut rng, &schema)).collect();
        let asked = service::ask(network, SERVER, &key, &schema, &rows[..1], soon(), &mut rng);
        assert!(matches!(asked, Err(Error::Service(ServiceError::Refused(Refusal::KeyMissing)))));
        service::upload_key(network, SERVER, &key, soon(), &mut rng).unwrap();
        let verdicts = service::ask(network, SERVER, &key, &schema, &rows, soon(), &mut rng).unwrap();
        assert!(rows.iter().zip(&verdicts).all(|(row, verdict)| *verdict == model.predict(row).unwrap()));
    });
}

#[test]
fn the_kind_of_an_error_tells_whose_failure_it_is() {
    let kind = |error: ServiceError| Error::from(error).kind();
    assert_eq!(kind(ServiceError::Reply), FailureKind::Peer);
    assert_eq!(kind(ServiceError::Version { found: 1 }), FailureKind::Limits);
    assert_eq!(kind(ServiceError::Refused(Refusal::Schema)), FailureKind::Limits);
    assert_eq!(kind(ServiceError::Refused(Refusal::RateLimit)), FailureKind::Abort);
    let [at_server, mut at_client] = MemoryNetwork::of(2).unwrap().try_into().unwrap();
    drop(at_server);
    let error = service::terms(&mut at_client, SERVER, soon()).unwrap_err();
    assert_eq!(error.kind(), FailureKind::Network, "{error}");
    let missing = Model::from_file("/nowhere/model.onnx", &ImportOptions::default()).unwrap_err();
    assert_eq!(missing.kind(), FailureKind::Input);
    assert_eq!(Error::Internal { place: "here" }.kind(), FailureKind::Internal);
}
