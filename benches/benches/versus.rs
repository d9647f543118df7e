//! Our big-number engine against GMP in the same run, as a table of ratios.
//!
//! GMP is built from source under the feature `gmp`. Without the feature this bench starts itself again with it, so
//! that a plain `cargo bench -p subrosa-benches` ends with the table.

#![allow(clippy::unwrap_used, missing_docs, reason = "bench code")]

#[cfg(not(feature = "gmp"))]
fn main() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["bench", "--quiet", "-p", "subrosa-benches", "--features", "gmp", "--bench", "versus"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!(
            "The comparison with GMP was not measured: it needs a C compiler, make and m4 to build GMP."
        );
        std::process::exit(1);
    }
}

#[cfg(feature = "gmp")]
fn main() {
    with_gmp::main();
}

#[cfg(feature = "gmp")]
mod with_gmp {
    use std::hint::black_box;

    use num_bigint::BigUint;
    use rug::Integer;
    use rug::integer::Order;

    use subrosa_arith::{FixedBase, Kernel, Modulus, SecretInt};
    use subrosa_benches::{Row, number, odd_number, print_table, rng, side_by_side};

    const ROUNDS: usize = 9;

    pub(crate) fn main() {
        let mut rows = Vec::new();
        for (bits, reach) in [(2048, 1.0), (4096, 0.75), (6144, 1.0)] {
            rows.push(vartime_power(bits, Kernel::fastest(bits), Some(reach)));
        }
        for (bits, reach) in [(2048, 1.0), (4096, 0.8), (6144, 1.0)] {
            rows.push(constant_time_power(bits, Kernel::fastest(bits), Some(reach)));
        }
        for kernel in [Kernel::Mulx, Kernel::Portable].into_iter().filter(|kernel| kernel.is_available()) {
            for bits in [2048, 4096, 6144] {
                rows.push(vartime_power(bits, kernel, None));
                rows.push(constant_time_power(bits, kernel, None));
            }
        }
        rows.push(blinding());
        println!();
        print_table(&rows);
    }

    fn gmp(x: &BigUint) -> Integer {
        Integer::from_digits(&x.to_u64_digits(), Order::Lsf)
    }

    /// c^d for a modulus and an exponent of `bits` bits each.
    fn vartime_power(bits: u64, kernel: Kernel, reach: Option<f64>) -> Row {
        let mut rng = rng(bits);
        let (m, base, exponent) =
            (odd_number(&mut rng, bits), number(&mut rng, bits), number(&mut rng, bits));
        let modulus = Modulus::with_kernel(&m, kernel).unwrap();
        let residue = modulus.residue(&base);
        let (gmp_m, gmp_base, gmp_exponent) = (gmp(&m), gmp(&(base % &m)), gmp(&exponent));
        let theirs = Integer::from(gmp_base.pow_mod_ref(&gmp_exponent, &gmp_m).unwrap());
        assert_eq!(gmp(&modulus.to_uint(&modulus.vartime_pow(&residue, &exponent))), theirs);
        side_by_side(
            &format!("c^d, {bits}/{bits} bits, variable time, {kernel:?}"),
            "mpz_powm",
            reach,
            ROUNDS,
            || drop(black_box(modulus.vartime_pow(&residue, &exponent))),
            || drop(black_box(Integer::from(gmp_base.pow_mod_ref(&gmp_exponent, &gmp_m).unwrap()))),
        )
    }

    /// The same with a secret exponent.
    fn constant_time_power(bits: u64, kernel: Kernel, reach: Option<f64>) -> Row {
        let mut rng = rng(bits);
        let (m, base, exponent) =
            (odd_number(&mut rng, bits), number(&mut rng, bits), number(&mut rng, bits));
        let modulus = Modulus::with_kernel(&m, kernel).unwrap();
        let residue = modulus.residue(&base);
        let secret = SecretInt::new(exponent.clone(), bits).unwrap();
        let (gmp_m, gmp_base, gmp_exponent) = (gmp(&m), gmp(&(base % &m)), gmp(&exponent));
        let theirs = Integer::from(gmp_base.secure_pow_mod_ref(&gmp_exponent, &gmp_m));
        assert_eq!(gmp(&modulus.to_uint(&modulus.pow(&residue, &secret))), theirs);
        side_by_side(
            &format!("c^d, {bits}/{bits} bits, constant time, {kernel:?}"),
            "mpz_powm_sec",
            reach,
            ROUNDS,
            || drop(black_box(modulus.pow(&residue, &secret))),
            || drop(black_box(Integer::from(gmp_base.secure_pow_mod_ref(&gmp_exponent, &gmp_m)))),
        )
    }

    /// A blinding factor for N of 2,048 bits: h^α with α of 1,024 secret bits through a table, against r^N.
    fn blinding() -> Row {
        let mut rng = rng(1);
        let n = odd_number(&mut rng, 2048);
        let squared = &n * &n;
        let modulus = Modulus::new(&squared).unwrap();
        let base = number(&mut rng, 4000);
        let table = FixedBase::new(&modulus, &modulus.residue(&base), 1024, 16_000_000).unwrap();
        let secret = SecretInt::new(number(&mut rng, 1024), 1024).unwrap();
        assert_eq!(modulus.to_uint(&table.pow(&secret)), base.modpow(secret.expose(), &squared));
        let (gmp_n, gmp_squared, r) = (gmp(&n), gmp(&squared), gmp(&base));
        side_by_side(
            &format!("blinding factor, N of 2048 bits, table of {} KiB", table.table_bytes() >> 10),
            "r^N by mpz_powm",
            Some(1.0 / 25.0),
            ROUNDS,
            || drop(black_box(table.pow(&secret))),
            || drop(black_box(Integer::from(r.pow_mod_ref(&gmp_n, &gmp_squared).unwrap()))),
        )
    }
}
