//! Clusters that cannot be are refused before anything is connected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use subrosa_risk_cluster::pki_types::PrivateKeyDer;
use subrosa_risk_cluster::subrosa_risk_propagation::shards::Shards;
use subrosa_risk_cluster::{Cluster, ClusterError, ConfigError, Limits, Worker};
use subrosa_transport::FailureKind;

fn made() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["worker".to_owned()]).unwrap()
}

fn key(made: &CertifiedKey<KeyPair>) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap()
}

fn worker(name: &str, made: &CertifiedKey<KeyPair>) -> Worker {
    Worker::new(name, "127.0.0.1:1", made.cert.der().clone())
}

#[test]
fn lists_of_workers_are_checked() {
    let (a, b) = (made(), made());
    let new = |me: &str, workers| Cluster::new(me, workers, key(&a)).map(drop);
    assert_eq!(new("a", vec![worker("a", &a), worker("b", &b)]), Ok(()));
    assert_eq!(new("a", Vec::new()), Err(ConfigError::Workers { workers: 0, most: 1000 }));
    assert_eq!(new("c", vec![worker("a", &a)]), Err(ConfigError::Unknown { name: "c".to_owned() }));
    let equal = new("a", vec![worker("a", &a), worker("a", &b)]);
    assert_eq!(equal, Err(ConfigError::EqualNames { name: "a".to_owned() }));
    let equal = new("a", vec![worker("a", &a), worker("b", &a)]);
    let (first, second) = ("a".to_owned(), "b".to_owned());
    assert_eq!(equal, Err(ConfigError::EqualCertificates { first, second }));
}

#[test]
fn shards_limits_and_keys_are_checked() {
    let (a, b) = (made(), made());
    let cluster = || Cluster::new("a", vec![worker("a", &a), worker("b", &b)], key(&a)).unwrap();
    let run = |cluster: Cluster, shards| cluster.run(Shards::new(shards).unwrap(), |_| ()).unwrap_err();
    let few = run(cluster(), 1);
    assert!(matches!(few, ClusterError::Config(ConfigError::FewShards { shards: 1, workers: 2 })), "{few}");
    let mut limits = Limits::default();
    limits.silence = Duration::from_millis(1);
    let short = run(cluster().limits(limits), 2);
    assert_eq!(short.to_string(), "the limit `silence` is below 100ms");
    // The key of another certificate.
    let wrong = Cluster::new("a", vec![worker("a", &a), worker("b", &b)], key(&b)).unwrap();
    let wrong = run(wrong, 2);
    assert!(matches!(wrong, ClusterError::Certificate(_)), "{wrong}");
    assert_eq!(wrong.kind(), FailureKind::Input);
}

#[test]
fn a_private_key_is_not_shown() {
    let a = made();
    let cluster = Cluster::new("a", vec![worker("a", &a)], key(&a)).unwrap();
    let shown = format!("{cluster:?}");
    assert!(shown.contains("<redacted>"), "{shown}");
    let bytes = format!("{:?}", &a.signing_key.serialize_der()[40..60]);
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn workers_that_do_not_come_are_named() {
    let (a, b) = (made(), made());
    let mut limits = Limits::default();
    limits.connect = Duration::from_millis(300);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = Cluster::new("a", vec![worker("a", &a), worker("b", &b)], key(&a)).unwrap();
    let error = cluster.limits(limits).listener(listener).run(Shards::new(2).unwrap(), |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "not connected in time: worker 1 (`b`: it has not come)");
    assert_eq!(error.workers(), [1]);
}
