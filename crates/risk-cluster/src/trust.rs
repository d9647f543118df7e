//! How workers prove to each other who they are: mutual TLS 1.3 with the agreed certificates and nothing else.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
};

/// The two ends of connections of one worker.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// Accepts every worker.
    pub(crate) server: Arc<ServerConfig>,
    /// By the worker to connect to: accepts that one.
    pub(crate) clients: Vec<Arc<ClientConfig>>,
    /// Sent in the handshake, and not looked at.
    pub(crate) name: ServerName<'static>,
}

impl Endpoints {
    pub(crate) fn new(
        certificates: &[CertificateDer<'static>],
        mine: &CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = |pin: &CertificateDer<'static>| {
            let pins = Pins::new(vec![pin.clone()], &provider);
            let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&TLS13])?
                .dangerous() // rustls' word for any verifier of one's own; this one compares certificates
                .with_custom_certificate_verifier(Arc::new(pins))
                .with_client_auth_cert(vec![mine.clone()], key.clone_key())?;
            client.resumption = Resumption::disabled();
            Ok(Arc::new(client))
        };
        let clients = certificates.iter().map(client).collect::<Result<_, Error>>()?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(Pins::new(certificates.to_vec(), &provider)))
            .with_single_cert(vec![mine.clone()], key.clone_key())?;
        // Nobody would read tickets: unread bytes make TCP reset at the end and lose what is under way.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let name = ServerName::try_from("subrosa").map_err(|_| Error::General("a server name".to_owned()))?;
        Ok(Self { server: Arc::new(server), clients, name })
    }
}

/// Accepts a peer that presents one of these very certificates and proves that it has the key.
#[derive(Debug)]
struct Pins {
    certificates: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pins {
    fn new(certificates: Vec<CertificateDer<'static>>, provider: &CryptoProvider) -> Self {
        Self { certificates, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, presented: &CertificateDer<'_>) -> Result<(), Error> {
        if self.certificates.iter().any(|pin| pin == presented) {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }
}

/// The three methods that both traits ask for: proofs of possession, by TLS 1.3 only.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            // TLS 1.2 is not offered.
            Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Pins {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    signatures!();
}
