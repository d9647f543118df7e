//! Step K5a: N is the product of the numbers that K1 shared.
//!
//! The sum of published shares in K2 can be steered by whoever publishes last; the check of a product with a random
//! triple ([`ProductCheck`]) finds that out.

use num_bigint::BigUint;
use num_traits::Zero;
use rand_core::CryptoRng;
use subrosa_arith::hash::Hasher;
use subrosa_shamir::{FieldShare, PrimeField, ProductCheck, Triple};
use subrosa_transport::{PartyId, PerParty};

use crate::candidates::Factors;
use crate::messages::{Below, ProductCheckShares, ProductCheckTriple, conform};
use crate::{KeygenError, KeygenParameters};

/// The shape of the messages, of `count` values.
pub fn shape(parameters: &KeygenParameters, count: usize) -> Below {
    Below { count, bound: parameters.candidate_field().prime().clone() }
}

/// Deals my part of a triple.
///
/// # Errors
/// [`KeygenError::Shamir`] if the field is too small.
pub fn deal(
    parameters: &KeygenParameters,
    rng: &mut impl CryptoRng,
) -> Result<PerParty<ProductCheckTriple>, KeygenError> {
    let access = parameters.access();
    let rows = Triple::deal(parameters.candidate_field(), access.threshold(), access.parties(), rng)?;
    let message = |row: [FieldShare; Triple::VALUES]| ProductCheckTriple {
        values: row.iter().map(|share| share.value().expose().clone()).collect(),
    };
    Ok(PerParty::from_vec(rows.into_iter().map(message).collect()))
}

/// The triple from what all dealt, and my share of its product m.
///
/// # Errors
/// [`KeygenError::Invalid`] naming a party whose message has another [`shape`].
pub fn triple(
    parameters: &KeygenParameters,
    me: PartyId,
    received: &PerParty<ProductCheckTriple>,
) -> Result<(Triple, ProductCheckShares), KeygenError> {
    conform(parameters.access().parties(), received, &shape(parameters, Triple::VALUES))?;
    let field = parameters.candidate_field();
    let accept = |value: &BigUint| field.accept(me.number(), value.clone());
    let row = |message: &ProductCheckTriple| match message.values.as_slice() {
        [a, b, s, wide] => Ok([accept(a)?, accept(b)?, accept(s)?, accept(wide)?]),
        _ => Err(KeygenError::Inconsistent { reason: "a triple of another length" }),
    };
    let dealt = received.values().map(row).collect::<Result<Vec<_>, _>>()?;
    let triple = Triple::total(field, &dealt)?;
    let product = share_message(&[triple.product(field)?]);
    Ok((triple, product))
}

/// Begins the check once m is open; `transcript` hashes everything that was broadcast until then.
///
/// # Errors
/// [`KeygenError::Inconsistent`] if the shares of m contradict each other.
pub fn begin(
    parameters: &KeygenParameters,
    transcript: &[u8; 32],
    n: &BigUint,
    factors: &Factors,
    triple: Triple,
    products: &PerParty<ProductCheckShares>,
) -> Result<(ProductCheck, ProductCheckShares), KeygenError> {
    let m = open(parameters, products, 0, 1, 2 * parameters.access().threshold())?;
    let challenge = Hasher::new("subrosa/distributed-paillier/product-challenge", 1)
        .field("transcript", transcript)
        .uint("n", n)
        .expand_bits(256);
    let check = ProductCheck::new(triple, m, challenge);
    let differences = check.differences(parameters.candidate_field(), &factors.p, &factors.q)?;
    Ok((check, share_message(&differences)))
}

/// My share of the value that must be 0.
///
/// # Errors
/// [`KeygenError::Inconsistent`] if the shares of a difference contradict each other.
pub fn zero(
    parameters: &KeygenParameters,
    me: PartyId,
    n: &BigUint,
    check: ProductCheck,
    differences: &PerParty<ProductCheckShares>,
) -> Result<ProductCheckShares, KeygenError> {
    let field: &PrimeField = parameters.candidate_field();
    let threshold = parameters.access().threshold();
    let delta = open(parameters, differences, 0, 2, threshold)?;
    let eta = open(parameters, differences, 1, 2, threshold)?;
    Ok(share_message(&[check.zero(field, &delta, &eta, &field.constant(me.number(), n)?)?]))
}

/// Whether N is the product.
///
/// # Errors
/// [`KeygenError::Inconsistent`] if it is not.
pub fn decide(
    parameters: &KeygenParameters,
    zeros: &PerParty<ProductCheckShares>,
) -> Result<(), KeygenError> {
    if open(parameters, zeros, 0, 1, parameters.access().threshold())?.is_zero() {
        return Ok(());
    }
    Err(KeygenError::Inconsistent { reason: "N is not the product of what was shared" })
}

fn share_message(shares: &[FieldShare]) -> ProductCheckShares {
    ProductCheckShares { values: shares.iter().map(|share| share.value().expose().clone()).collect() }
}

fn open(
    parameters: &KeygenParameters,
    received: &PerParty<ProductCheckShares>,
    place: usize,
    count: usize,
    degree: u32,
) -> Result<BigUint, KeygenError> {
    conform(parameters.access().parties(), received, &shape(parameters, count))?;
    let points: Vec<u32> = received.iter().map(|(party, _)| party.number()).collect();
    let opener = parameters.candidate_field().opener(&points, degree)?;
    let shares: Vec<&BigUint> = received.values().map(|message| &message.values[place]).collect();
    opener.open(&shares).map_err(|_| KeygenError::Inconsistent { reason: "shares of the product check" })
}
