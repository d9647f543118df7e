//! What security against parties that cheat adds to a run: the checks of the winner (W1 to W4), and the seeds, commitments
//! and receipts by which a cheater is named.

use cpu_time::ProcessTime;

use subrosa_arith::Modulus;
use subrosa_distributed_paillier::KeygenParameters;
use subrosa_distributed_paillier::candidates::{self, Sampler};
use subrosa_distributed_paillier::dealing::{Commitment, DealingId, Seed, disputed};
use subrosa_distributed_paillier::winner::Winner;
use subrosa_paillier::PrivateKey;
use subrosa_threshold_decryption::{AccessStructure, Challenges, KeyShare, ProofContext, dealer, proof};
use subrosa_transport::{PartyId, PerParty};

/// CPU time of all parties together, in seconds.
pub(crate) struct Cost {
    /// W1 to W4 of one attempt.
    pub(crate) winner: f64,
    /// Commitments to one batch of K1, and their comparison.
    pub(crate) receipts: f64,
    /// K1 of one batch: the one after the winner's is dealt in vain.
    pub(crate) dealing: f64,
    /// Bytes of W1 to W4.
    pub(crate) bytes: u64,
}

fn timed<R>(sum: &mut f64, step: impl FnOnce() -> R) -> R {
    let started = ProcessTime::now();
    let result = step();
    *sum += started.elapsed().as_secs_f64();
    result
}

fn transposed<M: Clone>(sent: &[PerParty<M>]) -> Vec<PerParty<M>> {
    (0..sent.len())
        .map(|to| {
            let to = PartyId::new(u16::try_from(to).unwrap());
            PerParty::from_vec(sent.iter().map(|messages| messages[to].clone()).collect())
        })
        .collect()
}

fn bytes<M: serde::Serialize>(message: &M, times: usize) -> u64 {
    (postcard::to_stdvec(message).unwrap().len() * times) as u64
}

/// The cost of one attempt at the first candidate of a batch, whatever its modulus is: the checks do not ask for primes.
pub(crate) fn cost(parties: u16, threshold: u32, bits: u64) -> Cost {
    let parameters = KeygenParameters::insecure(u32::from(parties), threshold, bits).unwrap();
    let everyone: Vec<PartyId> = (0..parties).map(PartyId::new).collect();
    let mut rng = subrosa_benches::rng(17);
    let (mut winner, mut receipts, mut dealing, mut traffic) = (0.0, 0.0, 0.0, 0);
    let id = DealingId::Candidates { first: 0 };
    let (secrets, sent): (Vec<_>, Vec<_>) = timed(&mut dealing, || {
        let deal = |&me: &PartyId| {
            let sampler = Sampler::new(&parameters, me).unwrap();
            candidates::deal(&parameters, &sampler, me, 0, &mut rng).unwrap()
        };
        everyone.iter().map(deal).unzip()
    });
    let seed = Seed::random(&mut rng);
    let received = transposed(&sent);
    timed(&mut receipts, || {
        let commit = |(&dealer, messages)| Commitment::new(&[0; 32], id, dealer, &seed, messages);
        let commitments = PerParty::from_vec(everyone.iter().zip(&sent).map(commit).collect());
        for (&me, received) in everyone.iter().zip(&received) {
            assert!(disputed(&[0; 32], id, me, &commitments, received).is_empty());
        }
    });
    let products: Vec<_> = everyone
        .iter()
        .zip(&received)
        .map(|(&me, received)| candidates::multiply(&parameters, me, received).unwrap())
        .collect();
    let n = candidates::open(&parameters, &PerParty::from_vec(products)).unwrap().remove(0);
    let modulus = Modulus::new(&n).unwrap();
    let pairs = usize::from(parties) * (usize::from(parties) - 1);
    let mut winners: Vec<_> = timed(&mut winner, || {
        let begin = |&me: &PartyId| {
            let factors = candidates::factors(&parameters, me, &received[me.index()], 0).unwrap();
            let candidate = secrets[me.index()].candidate(0).unwrap();
            Winner::new(&parameters, me, candidate, &modulus, &factors).unwrap()
        };
        everyone.iter().map(begin).collect()
    });
    let (dealt, sent): (Vec<_>, Vec<_>) =
        timed(&mut winner, || winners.iter().map(|w| w.deal(&mut rng).unwrap()).unzip());
    traffic += bytes(&sent[0][PartyId::new(0)], pairs);
    let received = transposed(&sent);
    let (states, products): (Vec<_>, Vec<_>) = timed(&mut winner, || {
        let steps = winners.iter().zip(dealt).zip(&received);
        steps.map(|((w, dealt), received)| w.multiply(dealt, received).unwrap()).unzip()
    });
    traffic += bytes(&products[0], pairs);
    let products = PerParty::from_vec(products);
    let (states, answers): (Vec<_>, Vec<_>) = timed(&mut winner, || {
        winners.iter().zip(states).map(|(w, state)| w.answer(state, &[1; 32], &products).unwrap()).unzip()
    });
    traffic += bytes(&answers[0], pairs);
    let answers = PerParty::from_vec(answers);
    let (states, zeros): (Vec<_>, Vec<_>) = timed(&mut winner, || {
        winners.iter().zip(states).map(|(w, state)| w.zeros(state, &[2; 32], &answers).unwrap()).unzip()
    });
    traffic += bytes(&zeros[0], pairs);
    let zeros = PerParty::from_vec(zeros);
    timed(&mut winner, || {
        for (w, state) in winners.iter_mut().zip(states) {
            w.decide(state, &zeros).unwrap();
        }
    });
    Cost { winner, receipts, dealing, bytes: traffic }
}

/// CPU time of all parties to decrypt, prove and verify `count` trial ciphertexts where K10 has one.
pub(crate) fn trials(parties: u32, threshold: u32, bits: u64, count: usize) -> f64 {
    let mut rng = subrosa_benches::rng(18);
    let private = PrivateKey::generate_insecure(bits, &mut rng).unwrap();
    let shares = dealer::deal(&private, AccessStructure::new(parties, threshold).unwrap(), &mut rng).unwrap();
    let public = shares[0].key().public();
    let nonce = subrosa_benches::number(&mut rng, bits - 2);
    let ciphertexts: Vec<_> = (0..count)
        .map(|i| public.encrypt_with_nonce(&num_bigint::BigInt::from(i), &(&nonce + i)).unwrap())
        .collect();
    let context = ProofContext::new([0; 32], ["a", "b", "c"]);
    let mut cpu = 0.0;
    timed(&mut cpu, || {
        let mut prove = |share: &KeyShare| {
            let partial = share.partially_decrypt(&ciphertexts).unwrap();
            let proof = share.prove(&context, &ciphertexts, &partial, Challenges::Wide, &mut rng).unwrap();
            (partial, proof)
        };
        let proven: Vec<_> = shares.iter().map(&mut prove).collect();
        for share in &shares {
            for (partial, proof) in &proven {
                let key = share.key();
                proof::verify(&context, key, &ciphertexts, partial, proof, Challenges::Wide).unwrap();
            }
        }
    });
    cpu
}
