//! Three nodes on threads of one process, over TLS on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_node::audit::{self, Event, Evidence, Report};
use subrosa_node::certs::{self, Validity};
use subrosa_node::subrosa_distributed_paillier::KeygenParameters;
use subrosa_node::subrosa_risk_propagation::synthetic::{NetworkShape, generate};
use subrosa_node::subrosa_risk_propagation::{Outcome, data, plaintext};
use subrosa_node::{AuditFiles, Node, NodeConfig, NodeError, Passphrase, Peer, Task, TlsFiles};
use subrosa_transport::with_causes;

const BANKS: [&str; 3] = ["amber", "birch", "coral"];

/// A folder with data and certificates for three banks.
struct Setup {
    folder: tempfile::TempDir,
    ports: [u16; 3],
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shape = NetworkShape { accounts: 60, transfers: 180, chains: 2, ..NetworkShape::default() };
        let network = generate(&shape, &mut ChaCha20Rng::seed_from_u64(11)).unwrap();
        network.write(&folder.path().join("data")).unwrap();
        let names = BANKS.map(str::to_owned);
        certs::make(&folder.path().join("certs"), &names, Validity::days(1)).unwrap();
        Self { folder, ports: free_ports() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, bank: usize) -> NodeConfig {
        let address = |bank: usize| format!("127.0.0.1:{}", self.ports[bank]);
        let peers = (0..3).filter(|&peer| peer != bank).map(|peer| Peer::new(BANKS[peer], address(peer)));
        let name = BANKS[bank];
        let tls = TlsFiles {
            certificate: self.path(&format!("certs/{name}.pem")),
            key: self.path(&format!("certs/{name}-key.pem")),
            authority: Some(self.path("certs/ca.pem")),
        };
        let passphrase = Passphrase::text(format!("of {name}"));
        let key = KeygenParameters::insecure(3, 1, 512).unwrap();
        let mut config = NodeConfig::new(name, address(bank), peers.collect(), tls, passphrase, key);
        config.data = self.path("data");
        config.key_file = self.path(&format!("{name}.key"));
        config.output = self.path(&format!("{name}.csv"));
        config.checkpoints = self.path(&format!("{name}.checkpoints"));
        config.audit = Some(AuditFiles { trail: self.path(&format!("{name}.jsonl")), record: true });
        config.settings.iterations = 2;
        config.timeouts.connect = Duration::from_secs(60);
        config.timeouts.round = Duration::from_secs(60);
        config
    }

    /// Files of public keys that a bank has.
    fn public_keys(&self, bank: &str) -> usize {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&format!("{bank}.key.")) && name.ends_with(".public")).count()
    }

    fn trail(&self, bank: &str) -> Report {
        audit::verify(&std::fs::read_to_string(self.path(&format!("{bank}.jsonl"))).unwrap()).unwrap()
    }
}

/// Free ports, below those which the system gives to outgoing connections.
fn free_ports() -> [u16; 3] {
    let start = u16::try_from(std::process::id() % 1100).unwrap() * 10;
    for step in 0..1100 {
        let first = 20_000 + (start + step * 10) % 11_000;
        let ports = [first + 7, first + 8, first + 9];
        if ports.iter().all(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return ports;
        }
    }
    panic!("no free ports");
}

/// Runs all nodes to their ends, each on its own thread.
fn run(nodes: &mut [Node], task: Task) -> Vec<Option<Outcome>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = nodes.iter_mut().map(|node| scope.spawn(|| node.run(task).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn scores_are_right(data_folder: &Path, config: &NodeConfig, outcomes: Vec<Option<Outcome>>) {
    let names = data::banks_in(data_folder).unwrap();
    let networks: Vec<_> =
        BANKS.iter().map(|bank| data::read_bank(data_folder, &names, bank).unwrap()).collect();
    let reference = plaintext::reference(&networks, &config.settings).unwrap();
    let scores: Vec<Vec<f64>> = outcomes.into_iter().map(|outcome| outcome.unwrap().scores).collect();
    let difference = plaintext::largest_difference(&scores, &reference);
    assert!(difference <= config.settings.accuracy, "largest difference {difference:e}");
}

#[test]
fn three_nodes_run_twice_with_a_key_for_each_run() {
    let setup = Setup::new();
    let mut nodes: Vec<Node> = (0..3).map(|bank| Node::new(setup.config(bank)).unwrap()).collect();
    for runs in 1..=2 {
        let task = if runs == 1 { Task::KeygenAndRun } else { Task::Run };
        scores_are_right(&setup.path("data"), &setup.config(0), run(&mut nodes, task));
        for bank in BANKS {
            assert_eq!(setup.public_keys(bank), runs);
            assert!(setup.path(&format!("{bank}.csv")).exists());
            assert!(!setup.path(&format!("{bank}.key.pending")).exists());
        }
    }
    // The next key is made ahead, and only once.
    for _ in 0..2 {
        assert!(run(&mut nodes, Task::Keygen).iter().all(Option::is_none));
        assert!(BANKS.iter().all(|bank| setup.public_keys(bank) == 3));
    }
    assert!(matches!(nodes[0].run(Task::Resume), Err(NodeError::NothingToResume(_))));
    drop(nodes);

    // The trails agree, commit to the data, and each run can be recomputed.
    let trails = BANKS.map(|bank| setup.trail(bank));
    assert_eq!(audit::compare(&trails), Vec::<String>::new());
    let config = setup.config(0);
    let secret = audit::TrailSecret::read(&audit::secret_file(&setup.path("amber.jsonl"))).unwrap();
    assert!(trails[0].commits_to(&secret.commitment(&config.input_files().unwrap()).unwrap()));
    let sessions = trails[0].records.iter().filter_map(|record| match &record.event {
        Event::Session { protocol, session, .. } if protocol == "subrosa/risk-propagation" => {
            Some(session.clone())
        }
        _ => None,
    });
    let sessions: Vec<String> = sessions.collect();
    assert_eq!(sessions.len(), 2);
    for session in sessions {
        let mut evidence = Evidence::new(setup.path("amber.jsonl"));
        evidence.run =
            Some(std::array::from_fn(|at| u8::from_str_radix(&session[2 * at..2 * at + 2], 16).unwrap()));
        evidence.peers = ["birch", "coral"].map(|bank| setup.path(&format!("{bank}.jsonl"))).to_vec();
        let result = audit::recompute(&config, &evidence).unwrap();
        assert!(result.is_clean() && !result.lacks_peers, "{result:?}");
        assert!(result.sessions[0].contains(&session), "{result:?}");
    }
}

#[test]
fn a_node_that_is_stopped_says_so() {
    let setup = Setup::new();
    let stop = Arc::new(AtomicBool::new(true));
    let mut node = Node::new(setup.config(0)).unwrap().with_stop(stop);
    assert!(matches!(node.run(Task::Keygen), Err(NodeError::Stopped)));
    assert_eq!(setup.trail("amber").outcome(), Some("stopped"));
}

#[test]
fn errors_name_file_and_field() {
    let setup = Setup::new();
    let error = |change: &dyn Fn(&mut NodeConfig)| {
        let mut config = setup.config(0);
        change(&mut config);
        Node::new(config).and_then(|mut node| node.run(Task::KeygenAndRun)).unwrap_err()
    };
    let text = |change: &dyn Fn(&mut NodeConfig)| with_causes(&error(change));
    assert_eq!(text(&|config| config.attempts = 0), "`attempts`: from 1 to 1000");
    let named = text(&|config| {
        config.file = Some("bank.toml".into());
        config.peers[1].address = "coral".to_owned();
    });
    assert_eq!(named, "bank.toml: `peers[1].address`: \"coral\" is not of the form host:port");
    assert!(text(&|config| drop(config.peers.pop())).starts_with("`peers`: at least two"));
    assert!(
        text(&|config| config.peers[0].name = "Amber".to_owned()).starts_with("`peers[0].name`: two banks")
    );
    assert!(text(&|config| config.tls.authority = None).starts_with("`peers[0].certificate`: missing"));
    assert!(text(&|config| config.timeouts.round = Duration::ZERO).starts_with("`timeouts.round`"));
    let parties = text(&|config| config.key = KeygenParameters::insecure(4, 1, 512).unwrap());
    assert_eq!(parties, "`key`: it is for 4 parties, and there are 3 banks");
    let unknown = text(&|config| config.settings.most_accounts.extend([("dogwood".to_owned(), 5)]));
    assert_eq!(unknown, "`settings.most_accounts.dogwood`: there is no such bank");
    assert!(
        text(&|config| config.tls.certificate = "nowhere.pem".into())
            .starts_with("nowhere.pem cannot be read or written: ")
    );
    assert!(
        text(&|config| config.output = "nowhere/scores.csv".into()).contains("`output`: there is no folder")
    );
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let listen = error(&|config| config.listen.clone_from(&address));
    assert!(matches!(listen, NodeError::Listen { .. }), "{listen}");
    let text = with_causes(&listen);
    assert!(text.starts_with(&format!("`listen`: {address} cannot be used: ")), "{text}");
}
