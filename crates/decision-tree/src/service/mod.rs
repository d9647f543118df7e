//! Questions and answers over any [`Transport`]: a server that evaluates, a client that asks.
//!
//! A frame is the magic `SRDS`, a version (2 bytes, little-endian), a kind (1 byte) and contents. The client asks for the
//! terms (schema and parameter set), uploads a conversion key, or sends a query. The server answers each request with
//! exactly one frame, in order. A refusal gives its reason in one byte. Nothing that the client sends depends on a
//! decrypted verdict, so the server does not learn whether decryption looked right.

mod admission;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::CryptoRng;

use crate::answer::MAX_ANSWER_BYTES;
use crate::crypto::ParameterSet;
use crate::schema::MAX_SCHEMA_BYTES;
use crate::wire::{CodecError, read_version, take};
use crate::{
    Answer, ClientKey, ConversionKey, Error, Evaluator, PreparedKey, Query, QueryError, Result, Schema,
    Verdict,
};
use subrosa_transport::{Deadline, FailureKind, Fault, PartyId, Transport, TransportError};

pub use admission::{Admission, RateLimit};

const MAGIC: [u8; 4] = *b"SRDS";
/// Version 1 was big-endian.
const VERSION: u16 = 2;
/// Queries that a client sends ahead of the answers.
const AHEAD: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameKind {
    AskTerms = 1,
    Query = 2,
    Terms = 3,
    Answer = 4,
    Refusal = 5,
    ConversionKey = 6,
    Accepted = 7,
}

/// Why a server does not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The server speaks another version.
    #[error("the server speaks another version")]
    Version,
    /// The request is malformed.
    #[error("the request is malformed")]
    Malformed,
    /// The query belongs to another schema than the server's.
    #[error("the server has another schema")]
    Schema,
    /// The query belongs to another parameter set than the server's.
    #[error("the server uses another parameter set")]
    Parameters,
    /// Too many queries in too short a time.
    #[error("too many queries; try again later")]
    RateLimit,
    /// The query cannot be evaluated before [`upload_key`].
    #[error("the server does not have the conversion key")]
    KeyMissing,
    /// A mistake in the server's library.
    #[error("the server failed because of a mistake of its own")]
    Internal,
}

/// Why an exchange with the other side failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The connection failed or the deadline passed.
    #[error("the connection failed")]
    Transport(#[from] TransportError),
    /// The server refused.
    #[error("the server refused the request")]
    Refused(#[source] Refusal),
    /// The server sent something that is no reply to the request.
    #[error("the server sent something that is no reply to the request")]
    Reply,
    /// The other side speaks a version of the service that this crate does not know.
    #[error("the other side speaks version {found} of the service, this crate version {VERSION}")]
    Version {
        /// The other side's version.
        found: u16,
    },
}

impl ServiceError {
    /// Whose failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Transport(error) => match error.fault() {
                Fault::UnknownParty | Fault::Myself => FailureKind::Misuse,
                Fault::TooLarge { .. } => FailureKind::Limits,
                Fault::Broken(_) => FailureKind::Peer,
                _ => FailureKind::Network,
            },
            Self::Refused(Refusal::Version | Refusal::Schema | Refusal::Parameters)
            | Self::Version { .. } => FailureKind::Limits,
            Self::Refused(Refusal::KeyMissing) => FailureKind::Misuse,
            Self::Refused(Refusal::RateLimit | Refusal::Internal) => FailureKind::Abort,
            Self::Refused(Refusal::Malformed) | Self::Reply => FailureKind::Peer,
        }
    }
}

/// What a client must know before it can ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// How rows are put on the grid.
    pub schema: Schema,
    /// What kind of key the server expects.
    pub parameters: ParameterSet,
}

/// How a server treats its clients.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// How long a client may be silent before the server ends the exchange.
    pub idle: Duration,
    /// How many queries each client may send, over all its connections; `None` for any number. Limits are the only protection
    /// against a client that learns the model by asking many questions.
    pub admission: Option<Arc<Admission>>,
}

impl Default for ServiceSettings {
    /// A minute of silence, no limit.
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), admission: None }
    }
}

/// Counts of [`serve`] for one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Queries answered.
    pub answered: u64,
    /// Requests refused.
    pub refused: u64,
}

/// Answers one client's requests until it closes the connection or stays silent for too long. Neither is an error.
///
/// Run it on one thread for each client. The threads share the evaluator and the settings. [`ServiceSettings::admission`]
/// knows a client by its channel identity in the transport's roster, or by its name if it has no identity. A malformed
/// request is refused and does not end the exchange.
///
/// # Errors
/// [`ServiceError::Transport`] for any other failure of the connection; [`Error::Internal`] for a mistake of this library, after the
/// client has been told [`Refusal::Internal`].
pub fn serve<T: Transport + ?Sized>(
    transport: &mut T,
    client: PartyId,
    evaluator: &Evaluator,
    settings: &ServiceSettings,
    rng: &mut impl CryptoRng,
) -> Result<Served> {
    let mut served = Served::default();
    let mut client_state = Client { admission: admission(transport, client, settings), key: None };
    loop {
        let request = match transport.receive(client, Deadline::after(settings.idle)) {
            Ok(request) => request,
            Err(error) if matches!(error.fault(), Fault::TimedOut | Fault::Disconnected) => {
                return Ok(served);
            }
            Err(error) => return Err(ServiceError::from(error).into()),
        };
        let mut mistake = None;
        let reply = match reply(&request, evaluator, &mut client_state, rng) {
            Ok(Reply::Answer(answer)) => {
                served.answered += 1;
                frame(FrameKind::Answer, &answer)
            }
            Ok(Reply::Terms(terms)) => frame(FrameKind::Terms, &terms),
            Ok(Reply::Accepted) => frame(FrameKind::Accepted, &[]),
            Err(error) => {
                served.refused += 1;
                let refusal = Refusal::of(&error);
                mistake = (refusal == Refusal::Internal).then_some(error);
                frame(FrameKind::Refusal, &[refusal.code()])
            }
        };
        match transport.send(client, &reply) {
            Ok(()) => {}
            Err(error) if *error.fault() == Fault::Disconnected && mistake.is_none() => return Ok(served),
            Err(error) => return Err(mistake.unwrap_or(ServiceError::from(error).into())),
        }
        if let Some(mistake) = mistake {
            return Err(mistake);
        }
    }
}

/// Asks a server for its terms.
///
/// # Errors
/// [`ServiceError`] for a failed connection, a refusal or an invalid reply; [`crate::schema::SchemaError`] for an invalid
/// schema.
pub fn terms<T: Transport + ?Sized>(transport: &mut T, server: PartyId, deadline: Deadline) -> Result<Terms> {
    transport.send(server, &frame(FrameKind::AskTerms, &[])).map_err(ServiceError::from)?;
    let reply = receive(transport, server, FrameKind::Terms, deadline)?;
    let (code, schema) = reply.split_first().ok_or(ServiceError::Reply)?;
    let parameters = ParameterSet::from_code(*code).ok_or(CodecError::Parameters)?;
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(ServiceError::Reply.into());
    }
    Ok(Terms { schema: Schema::from_json(schema)?, parameters })
}

/// Sends the conversion key to the server, once per connection. It sends nothing for parameter sets without one.
///
/// # Errors
/// [`ServiceError`] for a failed connection, a refusal or an invalid reply.
pub fn upload_key<T: Transport + ?Sized>(
    transport: &mut T,
    server: PartyId,
    key: &ClientKey,
    deadline: Deadline,
    rng: &mut impl CryptoRng,
) -> Result<()> {
    let Some(conversion) = key.conversion_key(rng) else { return Ok(()) };
    let request = frame(FrameKind::ConversionKey, &conversion.to_bytes());
    transport.send(server, &request).map_err(ServiceError::from)?;
    receive(transport, server, FrameKind::Accepted, deadline)?;
    Ok(())
}

/// Encrypts rows, lets the server evaluate them, and decrypts the verdicts in the order of the rows.
///
/// It sends a few queries ahead of their answers.
///
/// ```
/// use std::time::Duration;
/// use subrosa_decision_tree::service::{ServiceSettings, ask, serve, terms};
/// use subrosa_decision_tree::subrosa_transport::{Deadline, PartyId, testing::run_parties};
/// use subrosa_decision_tree::{ClientKey, Evaluator, Feature, Model, Node, ParameterSet, QuantizedModel, Schema};
///
/// let nodes = vec![Node::split(0, 0.5, 1, 2), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
/// let model = Model::classifier(["online"], ["genuine", "fraud"], nodes)?;
/// let schema = Schema::for_model(&model, vec![Feature::binary("online")])?;
/// let evaluator = Evaluator::new(QuantizedModel::new(&model, &schema)?, ParameterSet::Standard)?;
///
/// let (server, client) = (PartyId::new(0), PartyId::new(1));
/// let classes = run_parties(2, |me, mut wire| {
///     let mut rng = rand::rng();
///     if me == server {
///         serve(&mut wire, client, &evaluator, &ServiceSettings::default(), &mut rng)?;
///         return Ok(Vec::new());
///     }
///     let deadline = Deadline::after(Duration::from_secs(60));
///     let terms = terms(&mut wire, server, deadline)?; // schema and parameter set
///     let key = ClientKey::generate(terms.parameters, &mut rng);
///     let verdicts = ask(&mut wire, server, &key, &terms.schema, &[[0.0], [1.0]], deadline, &mut rng)?;
///     Ok(verdicts.iter().filter_map(|verdict| verdict.class()).collect())
/// });
/// let classes = classes.into_iter().collect::<subrosa_decision_tree::Result<Vec<_>>>()?;
/// assert_eq!(classes, [vec![], vec![0, 1]]);
/// # Ok::<(), subrosa_decision_tree::Error>(())
/// ```
///
/// # Errors
/// [`crate::schema::SchemaError`] for a row that does not fit, before anything is sent; [`ServiceError`] for a failed
/// connection, a refusal or an invalid reply; [`CodecError`] for an invalid answer.
pub fn ask<T: Transport + ?Sized, R: AsRef<[f64]>>(
    transport: &mut T,
    server: PartyId,
    key: &ClientKey,
    schema: &Schema,
    rows: &[R],
    deadline: Deadline,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Verdict>> {
    for row in rows {
        schema.quantize(row.as_ref())?;
    }
    let mut verdicts = Vec::with_capacity(rows.len());
    let mut sent = 0;
    while verdicts.len() < rows.len() {
        while let Some(row) = rows.get(sent).filter(|_| sent < verdicts.len() + AHEAD) {
            let query = key.encrypt(schema, row.as_ref(), rng)?;
            transport
                .send(server, &frame(FrameKind::Query, &query.to_bytes()))
                .map_err(ServiceError::from)?;
            sent += 1;
        }
        match verdict(transport, server, key, schema, deadline) {
            Ok(verdict) => verdicts.push(verdict),
            Err(error) => {
                // Replies to what was sent ahead would be taken for replies to the next question.
                for _ in verdicts.len() + 1..sent {
                    if transport.receive(server, deadline).is_err() {
                        break;
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(verdicts)
}

fn verdict<T: Transport + ?Sized>(
    transport: &mut T,
    server: PartyId,
    key: &ClientKey,
    schema: &Schema,
    deadline: Deadline,
) -> Result<Verdict> {
    let reply = receive(transport, server, FrameKind::Answer, deadline)?;
    key.decrypt(&Answer::from_bytes(&reply, schema, key.parameters())?)
}

/// Sends one query and waits for its answer.
///
/// It is for a client that encrypts and decrypts in separate steps. [`ask`] does all three.
///
/// # Errors
/// [`ServiceError`] for a failed connection, a refusal or an invalid reply; [`CodecError`] for an invalid answer.
pub fn exchange<T: Transport + ?Sized>(
    transport: &mut T,
    server: PartyId,
    query: &Query,
    schema: &Schema,
    deadline: Deadline,
) -> Result<Answer> {
    transport.send(server, &frame(FrameKind::Query, &query.to_bytes())).map_err(ServiceError::from)?;
    let reply = receive(transport, server, FrameKind::Answer, deadline)?;
    Answer::from_bytes(&reply, schema, query.parameters())
}

enum Reply {
    Answer(Vec<u8>),
    Terms(Vec<u8>),
    Accepted,
}

/// What a server keeps of a client while it is connected.
struct Client<'a> {
    /// The limit, and by what it knows the client.
    admission: Option<(&'a Admission, Vec<u8>)>,
    key: Option<PreparedKey>,
}

/// A client is known by its channel identity, or by its name where the transport gives none.
fn admission<'a, T: Transport + ?Sized>(
    transport: &T,
    client: PartyId,
    settings: &'a ServiceSettings,
) -> Option<(&'a Admission, Vec<u8>)> {
    let roster = transport.roster();
    let identity = match roster.identity(client) {
        [] => roster.name(client).as_bytes(),
        identity => identity,
    };
    settings.admission.as_deref().map(|admission| (admission, identity.to_vec()))
}

fn reply(
    request: &[u8],
    evaluator: &Evaluator,
    client: &mut Client<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Reply> {
    let refused = |refusal| Err(ServiceError::Refused(refusal).into());
    let (kind, contents) = open(request)?;
    let schema = evaluator.model().schema();
    if kind == FrameKind::AskTerms as u8 {
        let place = "terms: the schema cannot be written";
        let json = schema.to_json().map_err(|_| Error::Internal { place })?;
        let mut terms = vec![evaluator.parameters().code()];
        terms.extend_from_slice(json.as_bytes());
        return Ok(Reply::Terms(terms));
    }
    let is_key = kind == FrameKind::ConversionKey as u8;
    if !is_key && kind != FrameKind::Query as u8 {
        return refused(Refusal::Malformed);
    }
    // A conversion key and a malformed query also cost time.
    if client
        .admission
        .as_ref()
        .is_some_and(|(admission, identity)| !admission.admit(identity, Instant::now()))
    {
        return refused(Refusal::RateLimit);
    }
    let parameters = evaluator.parameters();
    if is_key {
        let key = ConversionKey::from_bytes(contents, parameters)?;
        client.key = Some(key.prepare());
        return Ok(Reply::Accepted);
    }
    let query = Query::from_bytes(contents, schema, parameters)?;
    let answer = match &client.key {
        Some(key) => evaluator.evaluate_with(key, &query, rng),
        None => evaluator.evaluate(&query, rng),
    };
    Ok(Reply::Answer(answer?.to_bytes()))
}

fn frame(kind: FrameKind, contents: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(7 + contents.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&VERSION.to_le_bytes());
    frame.push(kind as u8);
    frame.extend_from_slice(contents);
    frame
}

/// A frame's kind and contents.
fn open(frame: &[u8]) -> Result<(u8, &[u8]), ServiceError> {
    let mut rest = frame;
    let magic: [u8; 4] = take(&mut rest).map_err(|_| ServiceError::Reply)?;
    let version: [u8; 2] = take(&mut rest).map_err(|_| ServiceError::Reply)?;
    let [kind] = take(&mut rest).map_err(|_| ServiceError::Reply)?;
    if magic != MAGIC {
        return Err(ServiceError::Reply);
    }
    let found = read_version(version);
    if found != VERSION {
        return Err(ServiceError::Version { found });
    }
    Ok((kind, rest))
}

/// The contents of a reply of the wanted kind.
fn receive<T: Transport + ?Sized>(
    transport: &mut T,
    server: PartyId,
    wanted: FrameKind,
    deadline: Deadline,
) -> Result<Vec<u8>, ServiceError> {
    let mut reply = transport.receive(server, deadline)?;
    let (kind, contents) = open(&reply)?;
    if kind == FrameKind::Refusal as u8 {
        let refusal = contents.first().and_then(|code| Refusal::from_code(*code));
        return Err(refusal.map_or(ServiceError::Reply, ServiceError::Refused));
    }
    let limit = if wanted == FrameKind::Answer { MAX_ANSWER_BYTES } else { MAX_SCHEMA_BYTES + 1 };
    if kind != wanted as u8 || contents.len() > limit {
        return Err(ServiceError::Reply);
    }
    let start = reply.len() - contents.len();
    reply.drain(..start);
    Ok(reply)
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::Version,
        Self::Malformed,
        Self::Schema,
        Self::Parameters,
        Self::RateLimit,
        Self::KeyMissing,
        Self::Internal,
    ];

    fn of(error: &Error) -> Self {
        match error {
            Error::Codec(CodecError::Schema) => Self::Schema,
            Error::Codec(CodecError::Parameters) => Self::Parameters,
            Error::Codec(CodecError::Version { .. }) => Self::Version,
            Error::Query(QueryError::KeyMissing) => Self::KeyMissing,
            Error::Internal { .. } => Self::Internal,
            Error::Service(ServiceError::Refused(refusal)) => *refusal,
            Error::Service(ServiceError::Version { .. }) => Self::Version,
            _ => Self::Malformed,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::Malformed => 2,
            Self::Schema => 3,
            Self::Parameters => 4,
            Self::RateLimit => 5,
            Self::KeyMissing => 6,
            Self::Internal => 7,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }
}
