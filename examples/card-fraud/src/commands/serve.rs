//! The bank's process.

use super::whole::print_plan;
use crate::exchange::addresses;
use crate::server::{Limits, Server};
use crate::tcp::CLIENT;
use crate::{Error, Result, model_file};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use subrosa_decision_tree::service::{self, Settings};
use subrosa_decision_tree::{Evaluator, ParameterSet, Query};

/// How long a connection may stay silent before the bank closes it.
const IDLE: Duration = Duration::from_secs(300);
/// Room for what the service puts before a query.
const FRAME_HEADER: usize = 64;

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
}

/// Serves a model until the process is told to stop (SIGTERM, SIGINT; a second one ends it at once).
///
/// # Errors
/// [`crate::Error::File`] and [`Error::ModelFile`] for the model, [`Error::Network`] for the address.
pub fn run(model: &Path, listen: &str, options: &ServeOptions) -> Result<()> {
    let evaluator = Evaluator::new(model_file::read(model)?, options.parameters)?;
    print_plan(evaluator.plan());
    let listener =
        TcpListener::bind(addresses(listen)?.as_slice()).map_err(|error| Error::network(listen, &error))?;
    let address = listener.local_addr().map_err(|error| Error::network(listen, &error))?;
    // A thousand waiting clients are a thousand open files; where that is not allowed, fewer are served at a time.
    let _ = rlimit::increase_nofile_limit(options.connections as u64 + 64);
    let server = Arc::new(Server::new(Limits {
        connections: options.connections,
        places: options.places,
        per_minute: options.per_minute,
        burst: options.burst,
        max_frame: Query::size(evaluator.model().schema(), options.parameters) + FRAME_HEADER,
    }));
    // The rate is kept by address and not by connection, so it is the server's and not the service's.
    let settings = Settings { idle: IDLE, rate: None };
    stop_on_signals(&server)?;
    println!("listening on {address}");
    let served = server.run(&listener, |transport| {
        // Every way in which a connection ends is the client's business; the counts tell the bank enough.
        let _ = service::serve(transport, CLIENT, &evaluator, &settings, &mut rand::rng());
    });
    let counts = server.counts();
    let (taken, refused) =
        (counts.connections.load(Ordering::Relaxed), counts.turned_away.load(Ordering::Relaxed));
    println!(
        "stopped after {taken} connections ({refused} turned away), {} requests",
        counts.received.load(Ordering::Relaxed)
    );
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
