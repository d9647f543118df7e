//! A client's connection to a bank: connect, learn the terms, ask.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::table::{FEATURE_NAMES, Purchase};
use crate::tcp::{BANK, CLIENT, TcpTransport, roster};
use crate::train::CLASSES;
use crate::{Error, Result};
use subrosa_decision_tree::service::{self, Terms};
use subrosa_decision_tree::{Answer, ClientKey, Query};
use subrosa_transport::Deadline;

/// How long a server may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(10);
/// Greatest frame that a client reads or sends.
const MAX_FRAME: usize = 16 << 20;

/// A connection to a bank whose schema has this program's features and classes.
#[derive(Debug)]
pub struct Connection {
    server: String,
    transport: TcpTransport,
    terms: Terms,
    grace: Duration,
}

impl Connection {
    /// Connects to a bank and asks for its terms. `grace` is how long a reply may take.
    ///
    /// # Errors
    /// [`Error::Network`], with the server's address: it cannot be reached, does not answer in time, or judges
    /// something else than purchases of this form.
    pub fn open(server: &str, grace: Duration) -> Result<Self> {
        let fault = |error: &dyn std::fmt::Display| Error::network(server, error);
        let roster = roster(CLIENT).map_err(|error| fault(&error))?;
        let stream = connect(server)?;
        let mut transport = TcpTransport::new(stream, roster, MAX_FRAME).map_err(|error| fault(&error))?;
        let terms = service::terms(&mut transport, BANK, Deadline::after(grace))
            .map_err(|error| Error::exchange(server, &error))?;
        let names = terms.schema.features().iter().map(|feature| feature.name.as_str());
        if !names.eq(FEATURE_NAMES) || terms.schema.classes() != CLASSES {
            return Err(fault(&"it judges something else than card purchases"));
        }
        Ok(Self { server: server.to_owned(), transport, terms, grace })
    }

    /// The bank's terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Encrypts a purchase for this bank.
    ///
    /// # Errors
    /// [`Error::Tree`] for a value that is not a number.
    pub fn encrypt(&self, key: &ClientKey, purchase: &Purchase) -> Result<Query> {
        Ok(key.encrypt(&self.terms.schema, purchase, &mut rand::rng())?)
    }

    /// Sends a query and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Network`], with the server's address.
    pub fn ask(&mut self, query: &Query) -> Result<Answer> {
        let deadline = Deadline::after(self.grace);
        service::exchange(&mut self.transport, BANK, query, &self.terms.schema, deadline)
            .map_err(|error| Error::exchange(&self.server, &error))
    }
}

fn connect(server: &str) -> Result<TcpStream> {
    let mut failure = None;
    for address in addresses(server)? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure
        .map_or_else(|| Error::network(server, &"has no address"), |error| Error::network(server, &error)))
}

/// The addresses that a text such as `localhost:7700` stands for.
///
/// # Errors
/// [`Error::Network`] for a name that cannot be resolved or a text without a port.
pub fn addresses(text: &str) -> Result<Vec<SocketAddr>> {
    Ok(text.to_socket_addrs().map_err(|error| Error::network(text, &error))?.collect())
}
