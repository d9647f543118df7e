//! The bank's process.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::say;
use super::whole::plan_text;
use crate::exchange::addresses;
use crate::journal::{Sight, Watched};
use crate::server::{Guarded, Limits, Server};
use crate::tcp::CLIENT;
use crate::train::{Labelled, TrainOptions, train};
use crate::{Error, Result, generate, model_file};
use subrosa_decision_tree::service::{self, ServiceSettings};
use subrosa_decision_tree::{Evaluator, ParameterSet, QuantizedModel, Query};
use subrosa_transport::{FailureKind, with_causes};

/// How long a connection may stay silent before the bank closes it.
const IDLE: Duration = Duration::from_secs(300);
/// Room for what the service puts before a query.
const FRAME_HEADER: usize = 64;

/// Where a bank's tree comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A model file.
    File(PathBuf),
    /// Training, at the start, on so many made-up purchases from this seed.
    MadeUp {
        /// How many purchases.
        rows: usize,
        /// Seed of the purchases and of the split into training and held-out rows.
        seed: u64,
    },
}

impl Source {
    fn model(&self) -> Result<QuantizedModel> {
        match *self {
            Self::File(ref path) => model_file::read(path),
            Self::MadeUp { rows, seed } => {
                let (rows, labels) = generate::purchases(rows, seed);
                let options = TrainOptions { seed, ..TrainOptions::default() };
                Ok(train(&Labelled { rows, labels }, &options)?.quantized)
            }
        }
    }
}

/// What a server allows, as the command line gives it.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Queries per minute and address; 0 for no limit.
    pub per_minute: u32,
    /// Queries at once before the rate applies.
    pub burst: u32,
    /// Queries in memory at a time.
    pub places: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Cryptographic parameters.
    pub parameters: ParameterSet,
    /// Whether a line is printed for each query: all that the bank saw of it.
    pub journal: bool,
    /// Whether the end of standard input stops the server, as the end of the process that started it does.
    pub attached: bool,
}

/// Serves a model until the process is told to stop (SIGTERM, SIGINT; a second one ends it at once).
///
/// # Errors
/// [`crate::Error::File`] and [`Error::ModelFile`] for the model, [`Error::Network`] for the address.
pub fn run(source: &Source, listen: &str, options: &ServeOptions) -> Result<()> {
    let evaluator = Evaluator::new(source.model()?, options.parameters)?;
    say(&plan_text(evaluator.plan()));
    let listener =
        TcpListener::bind(addresses(listen)?.as_slice()).map_err(|error| Error::network(listen, &error))?;
    let address = listener.local_addr().map_err(|error| Error::network(listen, &error))?;
    let query_bytes = Query::size(evaluator.model().schema(), options.parameters);
    // A thousand waiting clients are a thousand open files; where that is not allowed, fewer are served at a time.
    let _ = rlimit::increase_nofile_limit(options.connections as u64 + 64);
    let server = Arc::new(Server::new(Limits {
        connections: options.connections,
        places: options.places,
        per_minute: options.per_minute,
        burst: options.burst,
        max_frame: query_bytes + FRAME_HEADER,
    }));
    // The rate is kept by address and not by connection, so it is the server's and not the service's.
    let settings = ServiceSettings { idle: IDLE, admission: None };
    stop_on_signals(&server)?;
    if options.attached {
        stop_with_input(&server);
    }
    say(&format!("listening on {address}"));
    let served = server.run(&listener, |transport: &mut Guarded<'_>| {
        let ended = if options.journal {
            let client = transport.address().to_string();
            let mut watched = Watched::new(transport, client, query_bytes, print_sight);
            service::serve(&mut watched, CLIENT, &evaluator, &settings, &mut rand::rng())
        } else {
            service::serve(transport, CLIENT, &evaluator, &settings, &mut rand::rng())
        };
        // How a client ends its connection is its own business; a mistake of this program is not.
        if let Err(error) = ended
            && error.kind() == FailureKind::Internal
        {
            say(&with_causes(&error));
        }
    });
    let counts = server.counts();
    let (taken, refused) =
        (counts.connections.load(Ordering::Relaxed), counts.turned_away.load(Ordering::Relaxed));
    let requests = counts.received.load(Ordering::Relaxed);
    say(&format!("stopped after {taken} connections ({refused} turned away), {requests} requests"));
    served.map_err(|error| Error::network(listen, &error))
}

fn stop_on_signals(server: &Arc<Server>) -> Result<()> {
    let server = Arc::clone(server);
    let stop = move || {
        if server.is_stopping() {
            std::process::exit(130);
        }
        server.stop();
    };
    ctrlc::set_handler(stop).map_err(|error| Error::Data(format!("signals cannot be handled: {error}")))
}

/// Stops the server when standard input ends. Where another process holds the other end of it, that happens however
/// that process ends.
fn stop_with_input(server: &Arc<Server>) {
    let server = Arc::clone(server);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut [0; 64]), Ok(1..)) {}
        server.stop();
    });
}

fn print_sight(sight: &Sight) {
    if let Ok(line) = sight.to_line() {
        say(&line);
    }
}
