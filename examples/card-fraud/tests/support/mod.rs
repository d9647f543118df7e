//! The program's processes, as the tests of the page start them.
#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; test code

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Enough for a tree that knows the rule of the made-up purchases.
pub(crate) const ROWS: &str = "8000";

pub(crate) fn card_fraud() -> Command {
    Command::new(env!("CARGO_BIN_EXE_card-fraud"))
}

/// A process that says at some time where it is; killed if a test forgets to stop it.
pub(crate) struct Process {
    child: Child,
    /// What it said up to then.
    pub(crate) said: Vec<String>,
}

impl Process {
    /// Starts a command and reads its lines up to the one that `last` takes.
    pub(crate) fn start(command: &mut Command, last: impl Fn(&str) -> bool) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        for line in lines.by_ref() {
            said.push(line);
            if said.last().is_some_and(|line| last(line)) {
                break;
            }
        }
        // Somebody has to read what it says later.
        thread::spawn(move || lines.for_each(drop));
        Self { child, said }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not stop");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

pub(crate) fn is_running(process: u32) -> bool {
    let mut command = Command::new("kill");
    command.args(["-0", &process.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

/// A bank's server on data that it makes up, at `listen`.
pub(crate) struct Bank {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Bank {
    pub(crate) fn start(listen: &str) -> Self {
        let mut command = card_fraud();
        command.args(["serve", "--made-up", "--rows", ROWS, "--listen", listen]);
        let process = Process::start(&mut command, |line| line.starts_with("listening on "));
        let address = process.said.last().unwrap().trim_start_matches("listening on ").to_owned();
        Self { process, address }
    }

    pub(crate) fn stop(mut self) {
        self.process.signal("-TERM");
        assert_eq!(self.process.wait().code(), Some(0));
    }
}

/// A way to a bank's server on which the next connection's replies can be made to wait.
pub(crate) struct SlowWay {
    pub(crate) address: String,
    slow: Arc<Mutex<Option<Receiver<()>>>>,
}

impl SlowWay {
    pub(crate) fn to(bank: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, bank) = (listener.local_addr().unwrap().to_string(), bank.to_owned());
        let slow = Arc::new(Mutex::new(None));
        let next = Arc::clone(&slow);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let held = next.lock().unwrap().take();
                let server = TcpStream::connect(&bank).unwrap();
                let (mut requests, mut to_server) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut requests, &mut to_server);
                    let _ = to_server.shutdown(Shutdown::Both);
                });
                thread::spawn(move || pass(server, client, held));
            }
        });
        Self { address, slow }
    }

    /// The next connection's second reply, after the terms, waits until something is sent here, and gets lost if the
    /// sender is dropped.
    pub(crate) fn hold_next(&self) -> Sender<()> {
        let (sender, receiver) = std::sync::mpsc::channel();
        *self.slow.lock().unwrap() = Some(receiver);
        sender
    }
}

/// Passes replies on.
fn pass(mut server: TcpStream, mut client: TcpStream, held: Option<Receiver<()>>) {
    if let Some(held) = held {
        let mut length = [0; 4];
        server.read_exact(&mut length).unwrap();
        let mut terms = vec![0; u32::from_le_bytes(length) as usize];
        server.read_exact(&mut terms).unwrap();
        client.write_all(&length).unwrap();
        client.write_all(&terms).unwrap();
        if held.recv().is_err() {
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

/// The card holder's process with its page.
pub(crate) struct Web {
    pub(crate) process: Process,
    /// The page's address, with the token.
    pub(crate) address: String,
}

impl Web {
    /// With a bank's server of its own.
    pub(crate) fn start() -> Self {
        Self::with(&["--rows", ROWS])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let mut command = card_fraud();
        command.arg("web").args(options);
        let process = Process::start(&mut command, |line| line.contains("http://"));
        let address = process.said.last().unwrap().trim().to_owned();
        Self { process, address }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn host(&self) -> &str {
        self.address.trim_start_matches("http://").split('/').next().unwrap()
    }

    pub(crate) fn token(&self) -> &str {
        self.address.trim_end_matches('/').rsplit('/').next().unwrap()
    }
}
