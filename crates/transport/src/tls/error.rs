//! Why a network over TLS cannot be set up, and why a connection fails or ends.

use std::{fmt, io, sync::Arc};

use rustls::{AlertDescription, CertificateError, client::VerifierBuilderError};

use crate::{FailureKind, Fault, PartyId, RosterError};

/// Why a network over TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The parties do not make a roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] TlsConfigError),
    /// A certificate or key is not usable.
    #[error("a certificate or key is not usable")]
    Certificate(#[from] rustls::Error),
    /// The listening socket, a thread or the random number generator failed.
    #[error("the operating system refused")]
    Io(#[from] io::Error),
    /// Some parties were not connected in time.
    #[error("not connected in time: {}", list(.0))]
    NotConnected(Vec<Missing>),
}

impl TlsError {
    /// Returns whose failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Roster(_) | Self::Config(_) | Self::Certificate(_) => FailureKind::Input,
            Self::Io(_) | Self::NotConnected(_) => FailureKind::Network,
        }
    }

    /// Prints the error and its causes in one line for a log, with colons between them.
    #[must_use]
    pub fn with_causes(&self) -> String {
        crate::with_causes(self)
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// `me` is not the name of a party.
    #[error("{name} is not among the parties of the TLS configuration")]
    UnknownParty {
        /// The name that was given for this party.
        name: String,
    },
    /// Parties are known by their certificates, and one of them has no certificate.
    #[error("{name} has no certificate to be known by")]
    NoCertificate {
        /// The party's name.
        name: String,
    },
    /// Two names are equal but for capitals, so a certificate for one would be one for the other.
    #[error("{first} and {second} are the same name in a certificate")]
    EqualNames {
        /// The name of the earlier one in the roster.
        first: String,
        /// The name of the later one in the roster.
        second: String,
    },
    /// An authority cannot certify the name.
    #[error("{name:?} is not a DNS name, which an authority could certify")]
    NotADnsName {
        /// The party's name.
        name: String,
    },
    /// The authority's certificate cannot verify others.
    #[error("the authority's certificate cannot verify others")]
    Authority(#[source] VerifierBuilderError),
    /// [`max_frame`](super::TlsLimits::max_frame) is over 4 GiB.
    #[error("a frame limit of {max_frame} bytes is over 4 GiB")]
    FrameLimit {
        /// The limit, in bytes.
        max_frame: usize,
    },
    /// [`max_unsent`](super::TlsLimits::max_unsent) has no room for one frame of the greatest length.
    #[error("max_unsent is {max_unsent}, one frame of max_frame bytes takes {needed}")]
    NoRoomForAFrame {
        /// The limit, in bytes.
        max_unsent: usize,
        /// The least that it must be, in bytes.
        needed: usize,
    },
    /// [`keepalive`](super::TlsLimits::keepalive) or [`handshake_timeout`](super::TlsLimits::handshake_timeout) is zero.
    #[error("keepalive and handshake_timeout must be above zero")]
    ZeroTime,
}

/// A party that is not connected, and why. The text is its name and the problem with all causes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Missing {
    /// The party.
    pub party: PartyId,
    /// Its name.
    pub name: String,
    /// Why it is not connected, as far as is known.
    pub problem: TlsProblem,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.problem.with_causes())
    }
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(Missing::to_string).collect::<Vec<_>>().join(", ")
}

/// Why there is no connection to a peer, or why it ended. In the text "it" is the peer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The peer should connect to this party, and has not done so. The reason is unknown.
    #[error("it has not come")]
    NotCome,
    /// The peer has not connected. Another connection was refused, because it did not prove to be a party's.
    #[error("it has not come; somebody was refused")]
    SomebodyRefused(#[source] Arc<TlsProblem>),
    /// The peer's address could not be looked up.
    #[error("{address} is not known")]
    UnknownAddress {
        /// The address in the configuration.
        address: String,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The peer's address has no network address.
    #[error("{address} has no address")]
    NoAddress {
        /// The address in the configuration.
        address: String,
    },
    /// Nothing answered at the peer's address.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// The address in the configuration.
        address: String,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The peer's certificate has expired, or a clock is wrong.
    #[error("its certificate has expired, or a clock is wrong ({0})")]
    CertificateExpired(CertificateError),
    /// The peer's certificate is not valid yet, or a clock is wrong.
    #[error("its certificate is not valid yet, or a clock is wrong ({0})")]
    CertificateNotValidYet(CertificateError),
    /// The peer's certificate is for another name.
    #[error("its certificate is for another name ({0})")]
    CertificateOfAnotherName(CertificateError),
    /// The agreed authority did not sign the peer's certificate.
    #[error("its certificate was not signed by the agreed authority")]
    UnknownAuthority,
    /// The peer is known by its certificate, and presented another one.
    #[error("it presents another certificate than the one it is known by")]
    AnotherCertificate,
    /// The peer's certificate is not acceptable for another reason.
    #[error("its certificate is not acceptable ({0})")]
    Certificate(CertificateError),
    /// The other end presented no certificate.
    #[error("it presented no certificate")]
    NoCertificate,
    /// The certificate is good, but belongs to none of the parties that connect to this one.
    #[error("the certificate is not one of a party that connects here")]
    NotAParty,
    /// The peer ended the handshake, most likely since it does not accept this party's certificate.
    #[error("it refused the connection, most likely this party's certificate ({alert:?})")]
    RefusedByAlert {
        /// The TLS alert that it sent.
        alert: AlertDescription,
    },
    /// TLS failed in another way.
    #[error("TLS failed")]
    Tls(#[source] rustls::Error),
    /// The peer was silent for too long.
    #[error("it gave no sign of life in time")]
    Silent,
    /// The peer, or the network between, closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// The peer sent a goodbye.
    #[error("it left")]
    Left,
    /// The operating system ended the connection.
    #[error("the connection failed")]
    Io(#[source] Arc<io::Error>),
    /// The bytes that the peer sent inside the connection cannot be read.
    #[error(transparent)]
    Record(#[from] TlsRecordError),
    /// The parties have different frame limits.
    #[error("its frame limit is {theirs}, here it is {mine}")]
    FrameLimits {
        /// The peer's limit, in bytes.
        theirs: u64,
        /// The limit here, in bytes.
        mine: u64,
    },
    /// The peer runs in another process than before. No frame had passed, so the next connection will succeed.
    #[error("it was started anew")]
    StartedAnew,
    /// The peer runs in another process than before, which does not know the run.
    #[error("it was started anew in the middle of the run")]
    StartedAnewInRun,
    /// A second process has the peer's certificate.
    #[error("another process of the same name is connected already")]
    SecondProcess,
    /// The peer has met an earlier process of this party.
    #[error("it is still in a run with an earlier process of this party")]
    MetAnEarlierProcess,
    /// The link to the peer had failed before. The fault's subject is the peer.
    #[error("here the peer {0}")]
    Failed(Fault),
    /// The peer was given up while it was connecting.
    #[error("it has been given up here")]
    GivenUp,
    /// The peer confirms frames that were never sent.
    #[error("it confirms frames that were never sent")]
    ConfirmsUnsent,
    /// The peer left frames out.
    #[error("frame {number} came where {due} was due")]
    OutOfOrder {
        /// The frame's number.
        number: u64,
        /// The number of the frame that was due.
        due: u64,
    },
    /// A newer connection of the peer has taken over.
    #[error("a newer connection has taken over")]
    Superseded,
}

impl TlsProblem {
    /// Prints the problem and its causes in one line for a log, with colons between them.
    #[must_use]
    pub fn with_causes(&self) -> String {
        crate::with_causes(self)
    }
}

impl From<rustls::Error> for TlsProblem {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => error.into(),
            rustls::Error::AlertReceived(alert) => Self::RefusedByAlert { alert },
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            error => Self::Tls(error),
        }
    }
}

impl From<CertificateError> for TlsProblem {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::CertificateExpired(error)
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::CertificateNotValidYet(error)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::CertificateOfAnotherName(error)
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
            CertificateError::ApplicationVerificationFailure => Self::AnotherCertificate,
            error => Self::Certificate(error),
        }
    }
}

impl From<io::Error> for TlsProblem {
    fn from(error: io::Error) -> Self {
        // `rustls` wraps its errors in errors of the operating system.
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return tls.clone().into();
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

/// Why bytes are not what one side of a connection sends inside it. In the text "it" is that side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsRecordError {
    /// The bytes end before the greeting does.
    #[error("it closed the connection")]
    NoGreeting,
    /// The bytes do not begin as a greeting does.
    #[error("it does not speak the transport's language")]
    NotAGreeting,
    /// A greeting of another version.
    #[error("it speaks version {theirs} of the transport, here it is {mine}")]
    Version {
        /// The version in the greeting.
        theirs: u8,
        /// The version here.
        mine: u8,
    },
    /// A refusal instead of a greeting.
    #[error("it refused: {reason}")]
    Refused {
        /// Its reason, cut and cleaned of control characters.
        reason: String,
    },
    /// A frame over the limit.
    #[error("it announced a frame of {bytes} bytes, over {limit}")]
    FrameTooLarge {
        /// The announced length.
        bytes: usize,
        /// The limit here.
        limit: usize,
    },
    /// A record of a kind that does not exist.
    #[error("it sent a record of unknown kind {kind}")]
    UnknownKind {
        /// The kind in the record.
        kind: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once_and_on_demand() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens");
        let address = "bank-a:7000".to_owned();
        let problem = TlsProblem::Unreachable { address, source: Arc::new(refused) };
        assert_eq!(problem.to_string(), "bank-a:7000 cannot be reached");
        assert_eq!(problem.with_causes(), "bank-a:7000 cannot be reached: nobody listens");
        let stranger = Arc::new(TlsProblem::UnknownAuthority);
        let missing = |party, name: &str, problem| Missing {
            party: PartyId::new(party),
            name: name.to_owned(),
            problem,
        };
        let error = TlsError::NotConnected(vec![
            missing(0, "bank-a", problem),
            missing(2, "bank-c", TlsProblem::SomebodyRefused(stranger)),
        ]);
        assert_eq!(
            error.with_causes(),
            "not connected in time: bank-a (bank-a:7000 cannot be reached: nobody listens), bank-c (it has not come; \
             somebody was refused: its certificate was not signed by the agreed authority)"
        );
        let error = TlsError::from(rustls::Error::HandshakeNotComplete);
        assert_eq!(error.to_string(), "a certificate or key is not usable");
        assert_eq!(error.with_causes(), "a certificate or key is not usable: handshake not complete");
    }

    #[test]
    fn errors_of_tls_are_found_in_those_of_the_system() {
        let hidden =
            |error: rustls::Error| TlsProblem::from(io::Error::new(io::ErrorKind::InvalidData, error));
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert!(matches!(hidden(expired), TlsProblem::CertificateExpired(_)));
        let alert = AlertDescription::CertificateUnknown;
        let told = hidden(rustls::Error::AlertReceived(alert));
        assert!(matches!(told, TlsProblem::RefusedByAlert { alert: AlertDescription::CertificateUnknown }));
        assert!(matches!(hidden(rustls::Error::DecryptError), TlsProblem::Tls(rustls::Error::DecryptError)));
        assert!(matches!(TlsProblem::from(io::Error::from(io::ErrorKind::WouldBlock)), TlsProblem::Silent));
        assert!(matches!(TlsProblem::from(io::Error::other("odd")), TlsProblem::Io(_)));
    }
}
