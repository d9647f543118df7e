//! The card holder's process with a page.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::say;
use crate::exchange::addresses;
use crate::web::access::Token;
use crate::web::bank::{Bank, Made};
use crate::web::connections::Bounded;
use crate::web::desk::Desk;
use crate::web::routes::{Site, router};
use crate::{Error, Result};

/// How often a key is looked at that may have lain unused for too long.
const TIDYING: Duration = Duration::from_secs(1);
/// Connections to the page at a time: a browser takes six.
const CONNECTIONS: usize = 64;
/// What a request takes at the most beside what the bank may take.
const OWN_TIME: Duration = Duration::from_secs(30);
/// How long requests under way may take when the process is told to stop.
const STOPPING: Duration = Duration::from_secs(1);

/// What the page asks, and how.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// The bank's address; without it, a bank that makes up its data is started and stopped along.
    pub server: Option<String>,
    /// What such a bank makes up.
    pub made: Made,
    /// How long the bank may take for a reply.
    pub grace: Duration,
    /// How long a key may lie unused before it is wiped.
    pub idle: Duration,
}

/// Serves the page until the process is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// [`Error::Network`] for either address; [`Error::Data`] where the bank's server does not start.
pub fn run(listen: &str, options: WebOptions) -> Result<()> {
    let fault = |error: std::io::Error| Error::network(listen, &error);
    let listener = TcpListener::bind(addresses(listen)?.as_slice()).map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    let bank = bank(options.server, options.made)?;
    let token = Token::generate();
    say(&format!(
        "\nopen this address in a browser:\n\n  http://{address}/{}/\n\n\
         Whoever knows it can use the page; it is another one at each start. Stop with ctrl-c.",
        token.reveal()
    ));
    if !address.ip().is_loopback() {
        let _ = writeln!(
            std::io::stderr(),
            "card-fraud: {address} is open to other machines, and the page goes there in the clear"
        );
    }
    let site = Site { token, port: address.port(), desk: Desk::new(bank, options.grace, options.idle) };
    let site = Arc::new(site);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(fault)?;
    // The bank is given its time for the terms and for the answer.
    let longest = options.grace.saturating_mul(2).saturating_add(OWN_TIME);
    let served = runtime.block_on(serve(listener, longest, Arc::clone(&site)));
    runtime.shutdown_timeout(STOPPING);
    // With the last of it go the key and the bank's server.
    drop(site);
    served.map_err(fault)
}

fn bank(server: Option<String>, made: Made) -> Result<Bank> {
    let Some(address) = server else {
        say(&format!("starting a bank's server that trains on {} made-up purchases", made.rows));
        let bank = Bank::start(made)?;
        let status = bank.status();
        let process = status.process.unwrap_or_default();
        say(&format!("bank's server: process {process} at {}, stops with this one", status.address));
        return Ok(bank);
    };
    addresses(&address)?;
    say(&format!("bank's server: {address}"));
    Ok(Bank::Elsewhere { address })
}

async fn serve(listener: TcpListener, longest: Duration, site: Arc<Site>) -> std::io::Result<()> {
    let listener = Bounded::new(tokio::net::TcpListener::from_std(listener)?, CONNECTIONS, longest);
    let tidied = Arc::clone(&site);
    let tidying = async move {
        loop {
            tokio::time::sleep(TIDYING).await;
            tidied.desk.tidy();
        }
    };
    tokio::select! {
        served = axum::serve(listener, router(site)) => served,
        () = tidying => Ok(()),
        stopped = stop_signal() => stopped,
    }
}

#[cfg(unix)]
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn stop_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
