//! Three banks as real processes on the loopback interface.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use subrosa_risk_propagation::synthetic::{NetworkShape, generate};

pub const BANKS: [&str; 3] = ["amber", "birch", "coral"];

/// No test waits for longer than this for anything.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A folder with certificates, data and configurations for three banks; ends every process when dropped.
pub struct Banks {
    pub folder: tempfile::TempDir,
    pub ports: [u16; 3],
    running: Vec<Option<Child>>,
}

pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bank-node"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Output {
    binary().args(arguments).output().unwrap()
}

/// Ports in a row that are free, below those which the system gives to outgoing connections.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1100).unwrap() * 10;
    loop {
        let step = NEXT.fetch_add(10, Ordering::SeqCst);
        let first = 20_000 + (start + step) % 11_000;
        let ports: [u16; N] = std::array::from_fn(|index| first + u16::try_from(index).unwrap());
        if ports.iter().all(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return ports;
        }
    }
}

impl Banks {
    /// Data for `accounts` accounts and certificates by one authority; keys of 512 bits.
    pub fn new(accounts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shape = NetworkShape { accounts, transfers: accounts * 3, chains: 2, ..NetworkShape::default() };
        let data = generate(&shape, &mut ChaCha20Rng::seed_from_u64(11)).unwrap();
        data.write(&folder.path().join("data")).unwrap();
        let certs = folder.path().join("certs");
        let made = run(&["certs", "make", "--out", certs.to_str().unwrap(), "amber", "birch", "coral"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let mut banks = Self { folder, ports: free_ports(), running: vec![None, None, None] };
        for bank in 0..3 {
            banks.configure(bank, |_| ());
        }
        banks
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn log(&self, bank: usize) -> String {
        self.read(&format!("{}.log", BANKS[bank]))
    }

    /// Writes a bank's configuration, changed by `change`: addresses of the peers may be those of a proxy.
    pub fn configure(&mut self, bank: usize, change: impl FnOnce(&mut Changes)) {
        let mut changes = Changes {
            addresses: self.ports.map(|port| format!("127.0.0.1:{port}")),
            certificate: BANKS[bank].to_owned(),
            authority: "certs/ca.pem".to_owned(),
            name: BANKS[bank].to_owned(),
            network:
                "connect_seconds = 60, round_seconds = 60, reconnect_seconds = 20, keepalive_seconds = 1, \
                      attempts = 6"
                    .to_owned(),
            iterations: 2,
        };
        change(&mut changes);
        let name = BANKS[bank];
        fs::write(self.path(&format!("{name}.passphrase")), format!("of {name}\n")).unwrap();
        let mut toml = format!(
            "name = \"{}\"\nlisten = \"127.0.0.1:{}\"\ndata = \"data\"\nkey_file = \"{name}.key\"\n\
             passphrase_file = \"{name}.passphrase\"\noutput = \"{name}.csv\"\ncheckpoints = \"checkpoints/{name}\"\n\
             audit = \"{name}.jsonl\"\nkey = {{ bits = 512, insecure = true }}\nsettings = {{ iterations = {} }}\n\
             network = {{ {} }}\nlog = {{ level = \"debug\" }}\n\
             tls = {{ certificate = \"certs/{4}.pem\", key = \"certs/{4}-key.pem\", authority = \"{5}\" }}\n",
            changes.name,
            self.ports[bank],
            changes.iterations,
            changes.network,
            changes.certificate,
            changes.authority,
        );
        for peer in (0..3).filter(|&peer| peer != bank) {
            writeln!(
                toml,
                "[[peers]]\nname = \"{}\"\naddress = \"{}\"",
                BANKS[peer], changes.addresses[peer]
            )
            .unwrap();
        }
        fs::write(self.path(&format!("{name}.toml")), toml).unwrap();
    }

    /// Starts a bank; its log is appended to.
    pub fn start(&mut self, bank: usize, command: &[&str]) {
        let name = BANKS[bank];
        let log = self.path(&format!("{name}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let config = self.path(&format!("{name}.toml"));
        let child = binary()
            .args(command)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        assert!(self.running[bank].replace(child).is_none(), "{name} runs already");
    }

    pub fn start_all(&mut self, command: &[&str]) {
        (0..3).for_each(|bank| self.start(bank, command));
    }

    /// Kills a bank as nothing could stop it: SIGKILL.
    pub fn kill(&mut self, bank: usize) {
        let mut child = self.running[bank].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self, bank: usize) {
        let id = self.running[bank].as_ref().unwrap().id();
        assert!(Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap().success());
    }

    pub fn id(&self, bank: usize) -> u32 {
        self.running[bank].as_ref().unwrap().id()
    }

    /// Waits for a bank to end.
    pub fn wait(&mut self, bank: usize) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.running[bank].as_mut().unwrap().try_wait().unwrap() {
                self.running[bank] = None;
                return status;
            }
            assert!(begin.elapsed() < LIMIT, "{} does not end:\n{}", BANKS[bank], self.log(bank));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for all banks, which must succeed.
    pub fn all_succeed(&mut self) {
        for (bank, name) in BANKS.iter().enumerate() {
            let status = self.wait(bank);
            assert!(status.success(), "{name} ended with {status}:\n{}", self.log(bank));
        }
    }

    /// Waits until a line of a bank's log holds `words` for the `times`-th time.
    pub fn wait_for(&mut self, bank: usize, words: &str, times: usize) {
        let begin = Instant::now();
        while self.log(bank).matches(words).count() < times {
            assert!(begin.elapsed() < LIMIT, "{} never says {words:?}:\n{}", BANKS[bank], self.log(bank));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The scores that all banks wrote differ from those of a computation in the clear by no more than the accuracy.
    pub fn scores_are_right(&self, iterations: u32) {
        use subrosa_risk_propagation::{Settings, data, plaintext};
        let folder = self.path("data");
        let names = data::banks_in(&folder).unwrap();
        let networks: Vec<_> =
            BANKS.iter().map(|bank| data::read_bank(&folder, &names, bank).unwrap()).collect();
        let settings = Settings { iterations, ..Settings::default() };
        let reference = plaintext::reference(&networks, &settings).unwrap();
        let mut scores = Vec::new();
        for (bank, network) in BANKS.iter().zip(&networks) {
            let text = self.read(&format!("{bank}.csv"));
            let rows: Vec<(&str, f64)> = text
                .lines()
                .skip(1)
                .map(|line| line.split_once(',').unwrap())
                .map(|(id, rest)| (id, rest.split(',').next().unwrap().parse().unwrap()))
                .collect();
            assert!(rows.iter().map(|row| row.0).eq(network.account_ids()), "{bank}: other accounts");
            scores.push(rows.into_iter().map(|row| row.1).collect());
        }
        let difference = plaintext::largest_difference(&scores, &reference);
        assert!(difference <= settings.accuracy, "largest difference {difference:e}");
    }

    /// The audit trails are whole and agree with each other.
    pub fn trails_agree(&self) {
        let files = BANKS.map(|bank| self.path(&format!("{bank}.jsonl")));
        let verified = binary().args(["audit", "verify"]).args(&files).output().unwrap();
        assert!(verified.status.success(), "{}", text(&verified.stdout));
    }
}

impl Drop for Banks {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a test changes in a configuration.
pub struct Changes {
    pub addresses: [String; 3],
    pub certificate: String,
    pub authority: String,
    pub name: String,
    pub network: String,
    pub iterations: u32,
}

/// What a process holds in memory, in KiB; the greatest so far.
pub fn peak_memory(id: u32) -> u64 {
    let status =
        fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
