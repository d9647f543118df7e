//! Generates a key among parties on threads of this process, and prints time and bytes.
//!
//! `cargo run --release -p subrosa-distributed-paillier --example generate -- [PARTIES] [THRESHOLD] [BITS]`

use std::time::Instant;

use subrosa_distributed_paillier::{
    KeygenError, KeygenParameters, PROTOCOL, Progress, SecurityLevel, generate,
};
use subrosa_transport::{Limits, Session, testing::run_parties};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
    let (parties, threshold, bits) = (next(3)?, next(1)?, u64::from(next(2048)?));
    let level = if bits < 2048 { SecurityLevel::Insecure } else { SecurityLevel::Secure };
    let started = Instant::now();
    let results = run_parties(parties as usize, |me, mut transport| {
        let mut rng = rand::rng();
        let parameters = KeygenParameters::with_level(parties, threshold, bits, level)?;
        let fields = parameters.session_parameters();
        let mut session = Session::open(&mut transport, PROTOCOL, &fields, Limits::default(), &mut rng)?;
        let share = generate(&mut session, &parameters, &mut rng, |event| {
            if let (0, Progress::Candidates { tried, expected, sieved, elapsed }) = (me.index(), event) {
                let seconds = elapsed.as_secs_f64();
                println!("{seconds:7.2} s: {tried} candidates of about {expected:.0}, {sieved} tested");
            }
        })?;
        Ok::<_, KeygenError>((share, session.counters().total().bytes_sent))
    });
    let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    let bytes: u64 = results.iter().map(|(_, bytes)| bytes).sum();
    println!("{:?}", results[0].0.key());
    println!("{:.2} s, {:.1} MB sent by all parties", started.elapsed().as_secs_f64(), bytes as f64 / 1e6);
    Ok(())
}
