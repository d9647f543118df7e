//! The deviating party that other tests steer follows the protocol where its script says nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

#[expect(unreachable_pub, reason = "shared by test files")]
mod attack;

use attack::stage::Stage;

#[test]
fn without_a_deviation_there_is_a_key() {
    for parties in [3, 5] {
        Stage::of(parties).goes_on(|_| ());
    }
}
