//! What parties must agree on before a session opens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use crate::common::*;
use subrosa_transport::{
    Cause, Deadline, FailureKind, MemoryNetwork, MemoryTransport, Misuse, Parameters, PartyId, Protocol,
    Roster, RosterError, Session, SessionError, Transport, TransportError, testing, with_causes,
};

const C: PartyId = PartyId::new(2);

fn parameters() -> Parameters {
    Parameters::new().with("key_bits", 2048).with("threshold", 1)
}

/// Two parties agree, c is started with something else; a's and b's errors name c and the field.
fn assert_differs(
    protocol: Protocol,
    theirs: &Parameters,
    field: &str,
    mine_shown: &str,
    theirs_shown: &str,
) {
    let outcomes = testing::run_parties(3, |me, mut transport| {
        let (protocol, parameters) =
            if me == C { (protocol, theirs.clone()) } else { (PROTOCOL, parameters()) };
        Session::open(&mut transport, protocol, &parameters, settings(20_000), &mut rng(1))
            .map(|session| *session.id())
    });
    for outcome in &outcomes[..2] {
        let error = outcome.as_ref().unwrap_err();
        let [failure] = error.failures() else { panic!("{error}") };
        assert_eq!((failure.party, failure.name.as_str()), (C, "party-3"));
        let cause = Cause::Differs {
            field: field.to_owned(),
            mine: mine_shown.to_owned(),
            theirs: theirs_shown.to_owned(),
        };
        assert_eq!(failure.cause, cause);
        assert_eq!((error.kind(), error.culprits()), (FailureKind::Limits, vec![C]));
        let text = error.to_string();
        assert!(text.contains("party-3") && text.contains(field), "{text}");
    }
    // c sees that both others differ from it, or hears of it.
    assert!(!outcomes[2].as_ref().unwrap_err().culprits().is_empty());
}

#[test]
fn a_difference_names_the_field_and_the_party() {
    let p = parameters;
    assert_differs(Protocol { name: "tset", version: 7 }, &p(), "protocol", "test", "tset");
    assert_differs(Protocol { name: "test", version: 8 }, &p(), "version", "7", "8");
    let theirs = Parameters::new().with("key_bits", 1024).with("threshold", 1);
    assert_differs(PROTOCOL, &theirs, "parameter key_bits", "2048", "1024");
    let theirs = Parameters::new().with("key_bits", 2048).with("treshold", 1);
    assert_differs(PROTOCOL, &theirs, "parameter threshold", "1", "a field treshold");
    let theirs = Parameters::new().with("key_bits", 2048);
    assert_differs(PROTOCOL, &theirs, "parameter threshold", "1", "no such field");
    let theirs = p().with("colour", "r\u{7}ed");
    assert_differs(PROTOCOL, &theirs, "parameter colour", "no such field", "r?ed");
}

/// A transport under another roster than the network's.
struct Renamed(MemoryTransport, Roster);

impl Transport for Renamed {
    fn roster(&self) -> &Roster {
        &self.1
    }

    fn send(&mut self, to: PartyId, frame: &[u8]) -> Result<(), TransportError> {
        self.0.send(to, frame)
    }

    fn receive(&mut self, from: PartyId, deadline: Deadline) -> Result<Vec<u8>, TransportError> {
        self.0.receive(from, deadline)
    }
}

fn open_with_rosters(rosters: Vec<Roster>) -> Vec<Result<[u8; 32], SessionError>> {
    let network = MemoryNetwork::of(3).unwrap();
    let network =
        network.into_iter().zip(rosters).map(|(transport, roster)| Renamed(transport, roster)).collect();
    testing::run_network(network, |_, mut transport: Renamed| {
        Session::open(&mut transport, PROTOCOL, &parameters(), settings(20_000), &mut rng(1))
            .map(|session| *session.id())
    })
}

#[test]
fn different_rosters_are_noticed() {
    let roster = |names: [&str; 3], me| Roster::new(names, PartyId::new(me)).unwrap();
    for names in [["anna", "bert", "karla"], ["bert", "anna", "carla"]] {
        let honest = ["anna", "bert", "carla"];
        let outcomes = open_with_rosters(vec![roster(honest, 0), roster(honest, 1), roster(names, 2)]);
        for outcome in &outcomes[..2] {
            let error = outcome.as_ref().unwrap_err();
            assert_eq!(error.culprits(), [C]);
            assert!(
                matches!(&error.failures()[0].cause, Cause::Differs { field, .. } if field == "roster"),
                "{error}"
            );
        }
    }
}

#[test]
fn different_channel_identities_are_noticed() {
    let roster = |key: &str, me| {
        let parties = [("anna", "key 1"), ("bert", "key 2"), ("carla", key)];
        Roster::with_identities(parties, PartyId::new(me)).unwrap()
    };
    let outcomes = open_with_rosters(vec![roster("key 3", 0), roster("key 3", 1), roster("key 4", 2)]);
    for outcome in &outcomes[..2] {
        let error = outcome.as_ref().unwrap_err();
        let [failure] = error.failures() else { panic!("{error}") };
        assert!(
            matches!(&failure.cause, Cause::Differs { field, .. } if field == "channel identities"),
            "{error}"
        );
    }
    // The same identities open, and give another session than the names alone.
    let with_keys = open_with_rosters((0..3).map(|me| roster("key 3", me)).collect());
    let names_only =
        (0..3).map(|me| Roster::new(["anna", "bert", "carla"], PartyId::new(me)).unwrap()).collect();
    assert_ne!(with_keys[0].as_ref().unwrap(), open_with_rosters(names_only)[0].as_ref().unwrap());
}

#[test]
fn the_session_id_depends_on_everything() {
    let id = |protocol: Protocol, parameters: &Parameters, seeds: [u64; 2]| {
        let ids = testing::run_parties(2, |me, mut transport| {
            let mut rng = rng(seeds[me.index()]);
            *Session::open(&mut transport, protocol, parameters, settings(20_000), &mut rng).unwrap().id()
        });
        assert_eq!(ids[0], ids[1]);
        ids[0]
    };
    let ids = [
        id(PROTOCOL, &parameters(), [1, 2]),
        id(PROTOCOL, &parameters(), [1, 3]),
        id(PROTOCOL, &parameters(), [3, 2]),
        id(Protocol { version: 9, ..PROTOCOL }, &parameters(), [1, 2]),
        id(Protocol { name: "tes", ..PROTOCOL }, &parameters(), [1, 2]),
        id(PROTOCOL, &Parameters::new(), [1, 2]),
        // Fields that read the same when run together.
        id(PROTOCOL, &Parameters::new().with("ab", "c"), [1, 2]),
        id(PROTOCOL, &Parameters::new().with("a", "bc"), [1, 2]),
    ];
    for (index, one) in ids.iter().enumerate() {
        assert!(ids[..index].iter().all(|other| other != one));
    }
    assert_eq!(ids[0], id(PROTOCOL, &parameters(), [1, 2]));
}

#[test]
fn parameters_have_limits() {
    let many = |n: usize| {
        (0..n).fold(Parameters::new(), |list, index| list.with(format!("p{index}"), "x".repeat(1024)))
    };
    for (bad, text) in [
        (many(65), "65 fields"),
        (Parameters::new().with("a", "x".repeat(1025)), "1025 bytes"),
        (Parameters::new().with("a".repeat(65), 1), "too long"),
        (Parameters::new().with("", 1), "empty"),
        (Parameters::new().with("a\n", 1), "control"),
        (parameters().with("key_bits", 2048), "twice"),
    ] {
        let mut network = MemoryNetwork::of(2).unwrap();
        let error = Session::open(&mut network[0], PROTOCOL, &bad, settings(50), &mut rng(1)).unwrap_err();
        assert!(matches!(&error, SessionError::Misuse(Misuse::Parameters(_))), "{error}");
        assert!(with_causes(&error).contains(text), "{error}");
    }
    // The largest that is allowed passes.
    testing::run_parties(2, |_, mut transport| {
        Session::open(&mut transport, PROTOCOL, &many(64), settings(20_000), &mut rng(1)).unwrap();
    });
}

#[test]
fn a_party_that_does_not_come_is_named() {
    let mut network = MemoryNetwork::of(3).unwrap();
    let gone = network.pop().unwrap();
    let outcomes =
        testing::run_network(network, |_, mut transport| open_within(&mut transport, 500).map(drop));
    drop(gone);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().culprits(), [C]);
    }
}

#[test]
fn a_late_party_hears_why_it_was_left() {
    let mut network = MemoryNetwork::of(2).unwrap();
    let late = network.pop();
    assert!(open_within(&mut network[0], 50).is_err());
    let error = open(&mut late.unwrap()).map(drop).unwrap_err();
    let SessionError::Aborted { by, culprits, .. } = error else { panic!("{error}") };
    assert_eq!((by, culprits), (PartyId::new(0), vec![PartyId::new(1)]));
}

#[test]
fn rosters_are_checked() {
    let me = PartyId::new(0);
    let new = |names: &[&str], me| Roster::new(names.iter().copied(), me);
    assert_eq!(new(&[], me), Err(RosterError::TooFew { parties: 0 }));
    assert_eq!(new(&["a"], me), Err(RosterError::TooFew { parties: 1 }));
    assert_eq!(new(&["a", ""], me), Err(RosterError::BadName { party: PartyId::new(1) }));
    assert_eq!(new(&["a\n", "b"], me), Err(RosterError::BadName { party: me }));
    assert_eq!(new(&["a", &"b".repeat(256)], me), Err(RosterError::BadName { party: PartyId::new(1) }));
    assert_eq!(new(&["a", "b", "a"], me), Err(RosterError::EqualNames { name: "a".to_owned() }));
    assert_eq!(new(&["a", "b"], C), Err(RosterError::MeOutOfRange { me: C, parties: 2 }));
    let many = |n: usize| Roster::new((0..n).map(|index| index.to_string()), me);
    assert_eq!(many(1025).unwrap_err(), RosterError::TooMany { parties: 1025 });
    assert_eq!(many(1024).unwrap().len(), 1024);
    let equal = Roster::with_identities([("a", "key"), ("b", "key")], me);
    assert_eq!(equal, Err(RosterError::EqualIdentities { first: me, second: PartyId::new(1) }));
    let empty = Roster::with_identities([("a", "key"), ("b", "")], me);
    assert_eq!(empty, Err(RosterError::BadIdentity { party: PartyId::new(1) }));

    let roster = new(&["a", "b", "c"], PartyId::new(1)).unwrap();
    assert_eq!(roster.others().map(PartyId::index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(roster.parties().map(PartyId::number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((roster.find("c"), roster.find("d")), (Some(C), None));
    assert_eq!((roster.name(C), roster.name(PartyId::new(3))), ("c", "(unknown party)"));
}
