//! The bytes of a checkpoint: what it is bound to, the run, the state, and a checksum over all of it.
//!
//! Numbers are little-endian. Written and read as a stream, so that a bank with a million accounts needs no second copy of
//! its state.

use std::io::{ErrorKind, Read, Write};

use num_bigint::{BigInt, BigUint};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::CheckpointProblem as Problem;
use crate::network::{Digest, Network, input};
use crate::plan::{NetworkSizes, Plan};
use crate::steps::agreement::Lists;
use crate::steps::randomness::RunSeed;
use crate::steps::scores::{Ciphertexts, Encrypted, FixedScores};
use subrosa_encoding::{Hasher, wire};
use subrosa_paillier::{Ciphertext, PublicKey};
use subrosa_transport::{Parameters, Roster};

const MAGIC: &[u8; 8] = b"subrosaC";
/// Version of the format.
const VERSION: u16 = 2;
/// Bytes that enter the checksum at a time.
const BLOCK: usize = 1 << 16;
/// Ciphertexts that are written at a time.
const RECORDS: usize = 1024;

/// What a checkpoint belongs to: it is of no use with anything else.
pub(crate) struct Binding([(&'static str, Digest); 4]);

impl Binding {
    /// `settings` are those of the session.
    pub(crate) fn new(key: &PublicKey, roster: &Roster, settings: &Parameters, network: &Network) -> Self {
        let hash = |what| Hasher::new(what, 1);
        let key = hash("subrosa/risk-propagation/checkpoint/key").field("id", key.id().as_bytes()).finish();
        let mut banks =
            hash("subrosa/risk-propagation/checkpoint/roster").u64("me", roster.me().index() as u64);
        for party in roster.parties() {
            banks = banks.field("name", roster.name(party).as_bytes());
        }
        let mut fields = hash("subrosa/risk-propagation/checkpoint/settings");
        for (name, value) in settings.fields() {
            fields = fields.field("name", name.as_bytes()).field("value", value.as_bytes());
        }
        Self([
            ("key", key),
            ("list of banks", banks.finish()),
            ("choice of settings", fields.finish()),
            ("input", input(network)),
        ])
    }
}

/// What does not change in a run.
pub(crate) struct Run {
    /// Session in which it began.
    pub(crate) id: Digest,
    /// All randomness of the bank comes from this.
    pub(crate) seed: RunSeed,
    pub(crate) sizes: NetworkSizes,
    /// What each bank told of its periods in R1.
    pub(crate) activity: Vec<Vec<u8>>,
    pub(crate) exports: Lists,
    pub(crate) imports: Lists,
    /// What all banks declared in R5: accounts by bank, and chunks by period.
    pub(crate) accounts: Vec<u64>,
    pub(crate) chunks: Vec<u64>,
}

impl Run {
    /// Whether anything is decrypted.
    pub(crate) fn has_ciphertexts(&self) -> bool {
        self.accounts.iter().any(|accounts| *accounts > 0)
    }
}

/// Where a bank is in a run.
pub(crate) struct State {
    pub(crate) scores: Encrypted,
    /// What [`crate::steps::disclosure::pack`] made.
    pub(crate) packed: Vec<Ciphertext>,
    /// The session in which they were packed: the very same ciphertexts are announced again.
    pub(crate) packed_in: Digest,
    /// The hash of each bank's announcement, from R7a.
    pub(crate) committed: Vec<Digest>,
    /// The hash of each bank's noise, from R7b.
    pub(crate) noise_committed: Vec<Digest>,
    /// What was decrypted.
    pub(crate) plaintexts: Vec<BigInt>,
}

impl State {
    pub(crate) fn new(scores: Encrypted) -> Self {
        let (committed, noise_committed) = (Vec::new(), Vec::new());
        let (packed, packed_in, plaintexts) = (Vec::new(), [0; 32], Vec::new());
        Self { scores, packed, packed_in, committed, noise_committed, plaintexts }
    }
}

/// Writes a whole checkpoint.
pub(crate) fn write(
    out: &mut dyn Write,
    binding: &Binding,
    run: &Run,
    state: &State,
    key: &PublicKey,
) -> std::io::Result<()> {
    let mut out = Sink { out, hash: checksum(), block: Zeroizing::new(Vec::with_capacity(BLOCK)) };
    out.bytes(MAGIC)?;
    out.bytes(&VERSION.to_le_bytes())?;
    for (_, digest) in &binding.0 {
        out.bytes(digest)?;
    }
    out.bytes(&run.id)?;
    out.bytes(run.seed.expose())?;
    let sizes = &run.sizes;
    let active = sizes.active_periods.iter().map(|active| u64::from(*active));
    out.list(
        [sizes.key_bits, sizes.columns, sizes.in_degree_bits as usize, sizes.noise_contributors]
            .map(|n| n as u64),
    )?;
    out.list(active)?;
    out.list(run.activity.iter().map(|bank| bank.len() as u64))?;
    for &told in run.activity.iter().flatten() {
        out.number(u64::from(told))?;
    }
    out.list(run.accounts.iter().copied())?;
    out.list(run.chunks.iter().copied())?;
    for lists in [&run.exports, &run.imports] {
        out.list(lists.iter().map(|banks| banks.len() as u64))?;
        for list in lists.iter().flatten() {
            out.list(list.iter().map(|account| u64::from(*account)))?;
        }
    }
    out.list(state.scores.plain().words_of_all().iter().copied())?;
    out.number(state.scores.all_mixed().present() as u64)?;
    out.records(state.scores.all_mixed().iter(), |(account, residue)| {
        let mut bytes = Zeroizing::new(u64::from(account).to_le_bytes().to_vec());
        bytes.extend_from_slice(&fixed(key, &key.modulus_squared().to_uint(&residue)));
        bytes
    })?;
    out.number(state.packed.len() as u64)?;
    out.records(&state.packed, |ciphertext| fixed(key, ciphertext.value()))?;
    out.bytes(&state.packed_in)?;
    for digests in [&state.committed, &state.noise_committed] {
        out.number(digests.len() as u64)?;
        digests.iter().try_for_each(|digest| out.bytes(digest))?;
    }
    out.number(state.plaintexts.len() as u64)?;
    for plaintext in &state.plaintexts {
        out.number(u64::from(plaintext.sign() == num_bigint::Sign::Minus))?;
        out.bytes(&fixed(key, plaintext.magnitude()))?;
    }
    out.finish()
}

/// Reads a whole checkpoint; its plan follows from `plan_of`.
pub(crate) fn read(
    source: &mut dyn Read,
    binding: &Binding,
    key: &PublicKey,
    network: &Network,
    plan_of: &dyn Fn(&NetworkSizes) -> Option<Plan>,
) -> Result<(Run, Plan, State), Problem> {
    let mut source = Source { source, hash: checksum(), block: Zeroizing::new(Vec::with_capacity(BLOCK)) };
    if source.array::<8>()? != *MAGIC {
        return Err(Problem::Corrupt);
    }
    let found = u16::from_le_bytes(source.array()?);
    if found != VERSION {
        return Err(Problem::Version { found, expected: VERSION });
    }
    // A damaged file is called that, and not foreign, if its checksum says so: hence the verdict at the end.
    let mut foreign = None;
    for (what, digest) in &binding.0 {
        if source.array()? != *digest && foreign.is_none() {
            foreign = Some(*what);
        }
    }
    if let Some(what) = foreign {
        source.skip()?;
        return Err(Problem::Foreign(what));
    }
    let run = read_run(&mut source)?;
    // Before anything is measured by them: the checksum comes last.
    let fits = run.sizes.columns == network.columns().len() && run.sizes.key_bits as u64 == key.bits();
    let plan = Some(&run.sizes).filter(|_| fits).and_then(plan_of).ok_or(Problem::Corrupt)?;
    let state = read_state(&mut source, key, network, &plan)?;
    source.finish()?;
    Ok((run, plan, state))
}

fn read_run(source: &mut Source<'_>) -> Result<Run, Problem> {
    let id = source.array()?;
    let seed = RunSeed::from_bytes(source.array()?);
    let sizes = source.list()?;
    let [key_bits, columns, in_degree_bits, noise_contributors] =
        sizes.try_into().map_err(|_| Problem::Corrupt)?;
    let sizes = NetworkSizes {
        key_bits: size(key_bits)?,
        columns: size(columns)?,
        in_degree_bits: u32::try_from(in_degree_bits).map_err(|_| Problem::Corrupt)?,
        noise_contributors: size(noise_contributors)?,
        active_periods: source.list()?.into_iter().map(|active| active == 1).collect(),
    };
    let activity = source.activity()?;
    let (accounts, chunks) = (source.list()?, source.list()?);
    let (exports, imports) = (source.lists()?, source.lists()?);
    Ok(Run { id, seed, sizes, activity, exports, imports, accounts, chunks })
}

fn read_state(
    source: &mut Source<'_>,
    key: &PublicKey,
    network: &Network,
    plan: &Plan,
) -> Result<State, Problem> {
    let accounts = network.account_count();
    let plain = FixedScores::from_words(source.list()?, accounts, plan).ok_or(Problem::Corrupt)?;
    let mut mixed = Ciphertexts::none(accounts);
    for _ in 0..source.number()? {
        let account = size(source.number()?)?;
        let residue = key.modulus_squared().residue(&source.fixed(key)?);
        if !mixed.insert(account, &residue) {
            return Err(Problem::Corrupt);
        }
    }
    let mut state = State::new(Encrypted::from_parts(plain, mixed));
    for _ in 0..source.number()? {
        let value = source.fixed(key)?;
        state.packed.push(key.accept(value).map_err(|_| Problem::Corrupt)?);
    }
    state.packed_in = source.array()?;
    for digests in [&mut state.committed, &mut state.noise_committed] {
        for _ in 0..source.number()? {
            digests.push(source.array()?);
        }
    }
    for _ in 0..source.number()? {
        let negative = source.number()? == 1;
        let magnitude = BigInt::from(source.fixed(key)?);
        state.plaintexts.push(if negative { -magnitude } else { magnitude });
    }
    Ok(state)
}

fn size(number: u64) -> Result<usize, Problem> {
    usize::try_from(number).map_err(|_| Problem::Corrupt)
}

fn checksum() -> Hasher {
    Hasher::new("subrosa/risk-propagation/checkpoint", VERSION.into())
}

/// Takes bytes into the checksum, a block at a time.
fn absorb(hash: &mut Hasher, block: &mut Zeroizing<Vec<u8>>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
        block.extend_from_slice(now);
        bytes = later;
        if block.len() == BLOCK {
            *hash = hash.clone().field("block", block);
            block.clear();
        }
    }
}

/// A number below N², in as many bytes as N² takes.
fn fixed(key: &PublicKey, value: &BigUint) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(wire::minimal_le(value));
    bytes.resize(key.ciphertext_bytes(), 0);
    bytes
}

struct Sink<'a> {
    out: &'a mut dyn Write,
    hash: Hasher,
    block: Zeroizing<Vec<u8>>,
}

impl Sink<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        absorb(&mut self.hash, &mut self.block, bytes);
        self.out.write_all(bytes)
    }

    fn number(&mut self, number: u64) -> std::io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    fn list(
        &mut self,
        numbers: impl IntoIterator<Item = u64, IntoIter: ExactSizeIterator>,
    ) -> std::io::Result<()> {
        let mut numbers = numbers.into_iter();
        self.number(numbers.len() as u64)?;
        numbers.try_for_each(|number| self.number(number))
    }

    /// Records whose bytes are made in the rayon pool: while some are hashed and written, the next are made.
    fn records<R: Send>(
        &mut self,
        records: impl IntoIterator<Item = R>,
        bytes: impl Fn(R) -> Zeroizing<Vec<u8>> + Sync,
    ) -> std::io::Result<()> {
        let mut records = records.into_iter();
        let mut take = || records.by_ref().take(RECORDS).collect::<Vec<R>>();
        let make = |records: Vec<R>| {
            let made: Vec<Zeroizing<Vec<u8>>> = records.into_par_iter().map(&bytes).collect();
            let mut all = Zeroizing::new(Vec::with_capacity(made.iter().map(|bytes| bytes.len()).sum()));
            made.iter().for_each(|bytes| all.extend_from_slice(bytes));
            all
        };
        let mut now = make(take());
        while !now.is_empty() {
            let (later, mut next) = (take(), Zeroizing::new(Vec::new()));
            let Self { out, hash, block } = self;
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| absorb(hash, block, &now));
                scope.spawn(|_| next = make(later));
                out.write_all(&now)
            })?;
            now = next;
        }
        Ok(())
    }

    fn finish(self) -> std::io::Result<()> {
        self.out.write_all(&self.hash.field("end", &self.block).finish())
    }
}

struct Source<'a> {
    source: &'a mut dyn Read,
    hash: Hasher,
    block: Zeroizing<Vec<u8>>,
}

impl Source<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Problem> {
        self.source.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Problem::Truncated,
            _ => Problem::Io(error),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        absorb(&mut self.hash, &mut self.block, &bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, Problem> {
        self.array().map(u64::from_le_bytes)
    }

    /// Grows with what is there, whatever the length claims.
    fn list(&mut self) -> Result<Vec<u64>, Problem> {
        (0..self.number()?).map(|_| self.number()).collect()
    }

    fn activity(&mut self) -> Result<Vec<Vec<u8>>, Problem> {
        let told = |source: &mut Self| u8::try_from(source.number()?).map_err(|_| Problem::Corrupt);
        let lengths = self.list()?;
        lengths.into_iter().map(|length| (0..length).map(|_| told(self)).collect()).collect()
    }

    fn lists(&mut self) -> Result<Lists, Problem> {
        let mut list = || -> Result<Vec<u32>, Problem> {
            let accounts = self.list()?.into_iter();
            accounts.map(|account| u32::try_from(account).map_err(|_| Problem::Corrupt)).collect()
        };
        let banks = list()?;
        banks.into_iter().map(|banks| (0..banks).map(|_| list()).collect()).collect()
    }

    fn fixed(&mut self, key: &PublicKey) -> Result<BigUint, Problem> {
        let mut bytes = Zeroizing::new(vec![0; key.ciphertext_bytes()]);
        self.fill(&mut bytes)?;
        absorb(&mut self.hash, &mut self.block, &bytes);
        let value = BigUint::from_bytes_le(&bytes);
        if value < *key.modulus_squared().value() { Ok(value) } else { Err(Problem::Corrupt) }
    }

    /// Passes over the rest and looks at the checksum alone.
    fn skip(&mut self) -> Result<(), Problem> {
        let mut rest = Zeroizing::new(Vec::new());
        self.source.read_to_end(&mut rest).map_err(Problem::Io)?;
        let (body, found) = rest.split_last_chunk::<32>().ok_or(Problem::Truncated)?;
        absorb(&mut self.hash, &mut self.block, body);
        if self.hash.clone().field("end", &self.block).finish() == *found {
            Ok(())
        } else {
            Err(Problem::Corrupt)
        }
    }

    fn finish(mut self) -> Result<(), Problem> {
        let mut found = [0; 32];
        self.fill(&mut found)?;
        let expected = self.hash.clone().field("end", &self.block).finish();
        let mut more = [0; 1];
        let ended = self.source.read(&mut more).map_err(Problem::Io)? == 0;
        if found == expected && ended { Ok(()) } else { Err(Problem::Corrupt) }
    }
}
