//! Web servers with certificates. The application has these independently of any protocol.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rand::distr::{Alphanumeric, SampleString};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use crate::http::{HttpTransport, Peer};
use subrosa_transport::{PartyId, Roster, RosterError};

/// The name in every certificate of this example: all sites are on the loopback interface.
const HOST: &str = "localhost";
/// Timeout for a host to answer a connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// Why a site cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The port cannot be opened.
    #[error("cannot listen on the loopback interface")]
    Listen(#[from] std::io::Error),
    /// The certificate cannot be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS cannot use the certificate and its key.
    #[error("cannot use a certificate")]
    Tls(#[from] rustls::Error),
    /// The client cannot be built.
    #[error("cannot build a client")]
    Client(#[from] reqwest::Error),
    /// The parties' names do not make a roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
}

/// One party's address and certificate, before anybody is connected.
pub struct Site {
    listener: TcpListener,
    url: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Site {
    /// Takes a free port of the loopback interface, and makes a fresh self-signed certificate.
    ///
    /// # Errors
    /// [`SiteError::Listen`], [`SiteError::Certificate`].
    pub fn open() -> Result<Self, SiteError> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        listener.set_nonblocking(true)?;
        let url = format!("https://{HOST}:{}", listener.local_addr()?.port());
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        Ok(Self { listener, url, certificate: cert.der().clone(), key })
    }

    /// Returns the identity by which the others know this party: the hash of its certificate.
    fn identity(&self) -> Vec<u8> {
        Sha256::digest(&self.certificate).to_vec()
    }

    /// Creates a client that trusts only this site.
    fn client(&self) -> Result<reqwest::Client, SiteError> {
        let pinned = reqwest::Certificate::from_der(&self.certificate)?;
        // No proxy: these are banks that reach each other directly. No redirects: a frame goes to its peer.
        let client = reqwest::Client::builder().tls_certs_only([pinned]).https_only(true).no_proxy();
        // A host that does not answer is tried again; it must not hold up the end of a run.
        let client = client.redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECTING);
        Ok(client.build()?)
    }

    /// Serves `routes` until the handle says stop.
    async fn serve(self, routes: Router, handle: Handle<SocketAddr>) -> Result<(), SiteError> {
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], self.key)?;
        let tls = RustlsConfig::from_config(Arc::new(tls));
        let server = axum_server::from_tcp_rustls(self.listener, tls)?.handle(handle);
        Ok(server.serve(routes.into_make_service()).await?)
    }
}

/// Starts a site for each name and connects all with all. Called inside a tokio runtime.
///
/// In one process all certificates and tokens are available. Separate banks exchange them beforehand, over a channel
/// that they trust.
///
/// # Errors
/// See [`SiteError`].
pub fn connect(
    names: &[&str],
    max_frame: usize,
    application: &Router,
) -> Result<(Vec<HttpTransport>, Handle<SocketAddr>), SiteError> {
    // rustls wants to be told once per process which cryptography to use; if it has been told already, it stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sites = names.iter().map(|_| Site::open()).collect::<Result<Vec<_>, _>>()?;
    let identities = names.iter().zip(&sites).map(|(name, site)| (*name, site.identity()));
    let roster = Roster::with_identities(identities, PartyId::new(0))?;
    // `tokens[i][j]` is what party i shows to party j.
    let token = || Alphanumeric.sample_string(&mut rand::rng(), 43); // 256 bits
    let tokens: Vec<Vec<String>> = names.iter().map(|_| names.iter().map(|_| token()).collect()).collect();

    let mut peers: Vec<Vec<Option<Peer>>> = Vec::new();
    for (mine, shown) in tokens.iter().enumerate() {
        let shown_to_me = tokens.iter().map(|theirs| &theirs[mine]);
        let peer = |((site, token), their_token): ((&Site, &String), &String)| {
            let (token, their_token) = (token.clone(), their_token.clone());
            Ok(Some(Peer { url: site.url.clone(), client: site.client()?, token, their_token }))
        };
        let all: Result<_, SiteError> = sites.iter().zip(shown).zip(shown_to_me).map(peer).collect();
        peers.push(all?);
    }
    let handle = Handle::new();
    let mut transports = Vec::new();
    for ((me, site), peers) in roster.parties().zip(sites).zip(peers) {
        let (transport, routes) = HttpTransport::new(roster.seen_by(me)?, peers, max_frame);
        tokio::spawn(site.serve(routes.merge(application.clone()), handle.clone()));
        transports.push(transport);
    }
    Ok((transports, handle))
}
