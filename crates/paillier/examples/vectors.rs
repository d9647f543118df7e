//! Encrypts under the keys in `tests/vectors/phe.json` and prints what `make_phe.py check` reads.

use std::error::Error;

use num_bigint::{BigInt, BigUint};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

use subrosa_paillier::{Blinder, PrivateKey, Randomness};

fn main() -> Result<(), Box<dyn Error>> {
    let vectors: Value = serde_json::from_str(include_str!("../tests/vectors/phe.json"))?;
    let mut ciphertexts = Vec::new();
    for (number, key) in vectors["keys"].as_array().into_iter().flatten().enumerate() {
        let prime = |name: &str| key[name].as_str().unwrap_or_default().parse::<BigUint>();
        let (p, q) = (prime("p")?, prime("q")?);
        let private = PrivateKey::from_primes_insecure(p.clone(), q.clone())?;
        for (name, randomness) in [("short", Randomness::Short), ("full", Randomness::Full)] {
            let blinder = Blinder::new(private.public(), randomness, 1 << 18)?;
            let seed = number as u64;
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            for m in [0i64, 1, -1, 1_234_567, i64::MIN] {
                let c = blinder.encrypt(&BigInt::from(m), &mut rng)?;
                ciphertexts.push(json!({
                    "p": p.to_string(), "q": q.to_string(), "randomness": name, "seed": seed,
                    "m": m.to_string(), "c": c.value().to_string(),
                }));
            }
        }
    }
    println!("{}", serde_json::to_string_pretty(&json!({ "ciphertexts": ciphertexts }))?);
    Ok(())
}
