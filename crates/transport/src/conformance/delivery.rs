//! Checks of what arrives where.

use super::{A, B, Broken, C, Law, Options, broken, expect, expect_silence, names, network, pattern, send};
use crate::{Deadline, Fault, PartyId, Transport};

/// One transport for each name, in order, each knowing who it is.
///
/// # Errors
/// [`Law::Roster`].
pub fn check_roster<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let _ = options;
    let parties: [T; 3] = network(make)?;
    for (index, transport) in parties.iter().enumerate() {
        let roster = transport.roster();
        if roster.me().index() != index {
            return broken(Law::Roster, format!("transport {index} says that it is {}", roster.me()));
        }
        let listed: Vec<&str> = roster.parties().map(|party| roster.name(party)).collect();
        if listed != ["anna", "bert", "carla"] {
            return broken(Law::Roster, format!("transport {index} has the roster {listed:?}"));
        }
        let identities = |roster: &crate::Roster| -> Vec<Vec<u8>> {
            roster.parties().map(|party| roster.identity(party).to_vec()).collect()
        };
        if identities(roster) != identities(parties[0].roster()) {
            return broken(
                Law::Roster,
                format!("transport {index} has other channel identities than transport 0"),
            );
        }
    }
    Ok(())
}

/// Frames to and from oneself or an unknown party are errors, and have no effect.
///
/// # Errors
/// [`Law::Errors`].
pub fn check_wrong_party<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b] = network(make)?;
    for (party, fault) in [
        (A, Fault::Myself),
        (PartyId::new(2), Fault::UnknownParty),
        (PartyId::new(u16::MAX), Fault::UnknownParty),
    ] {
        let sent = a.send(party, b"nobody");
        let received = a.receive(party, Deadline::after(options.silence)).map(drop);
        for (what, result) in [("sending to", sent), ("receiving from", received)] {
            match result {
                Err(error) if error.fault() == &fault => names(&error, party)?,
                Err(error) => {
                    return broken(Law::Errors, format!("{what} {party} is not {fault:?}: {error}"));
                }
                Ok(()) => return broken(Law::Errors, format!("{what} {party} works")),
            }
        }
    }
    send(&mut a, B, b"still here", Law::Errors)?;
    expect(options, &mut b, A, b"still here", Law::Errors)
}

/// T3: frames of many lengths in both directions arrive whole, in order, exactly once.
///
/// # Errors
/// [`Law::Order`].
pub fn check_order<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    const FRAMES: usize = 200;
    let [mut a, mut b] = network(make)?;
    let limit = a.max_frame().min(options.largest);
    let frame = |direction: usize, number: usize| {
        pattern(2 * number + direction, (number * number * 7 + direction) % 20_000.min(limit + 1))
    };
    for number in 0..FRAMES {
        send(&mut a, B, &frame(0, number), Law::Order)?;
        send(&mut b, A, &frame(1, number), Law::Order)?;
    }
    for number in 0..FRAMES {
        expect(options, &mut b, A, &frame(0, number), Law::Order)?;
        expect(options, &mut a, B, &frame(1, number), Law::Order)?;
    }
    expect_silence(options, &mut a, B, Law::Order)?;
    expect_silence(options, &mut b, A, Law::Order)
}

/// T1: a frame comes from the party on whose channel it came, whatever its bytes say.
///
/// # Errors
/// [`Law::Identity`].
pub fn check_identity<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b, mut c] = network(make)?;
    send(&mut b, C, b"anna says: trust me", Law::Identity)?;
    expect_silence(options, &mut c, A, Law::Identity)?;
    expect(options, &mut c, B, b"anna says: trust me", Law::Identity)?;
    send(&mut a, C, b"anna says: it was not me", Law::Identity)?;
    expect_silence(options, &mut c, B, Law::Identity)?;
    expect(options, &mut c, A, b"anna says: it was not me", Law::Identity)
}

/// T2: what one party sends to another arrives nowhere else.
///
/// # Errors
/// [`Law::Privacy`].
pub fn check_pairs_are_private<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b, mut c] = network(make)?;
    send(&mut a, B, b"for bert alone", Law::Privacy)?;
    expect(options, &mut b, A, b"for bert alone", Law::Privacy)?;
    expect_silence(options, &mut c, A, Law::Privacy)?;
    expect_silence(options, &mut c, B, Law::Privacy)?;
    expect_silence(options, &mut a, B, Law::Privacy)?;
    expect_silence(options, &mut a, C, Law::Privacy)
}

/// T3, T4: an empty frame, a byte, and a frame as long as the limit arrive whole.
///
/// # Errors
/// [`Law::Order`], [`Law::Limit`].
pub fn check_sizes<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b] = network(make)?;
    send(&mut a, B, b"", Law::Order)?;
    send(&mut a, B, b"\0", Law::Order)?;
    let largest = pattern(1, a.max_frame().min(options.largest));
    send(&mut a, B, &largest, Law::Limit)?;
    send(&mut a, B, b"", Law::Order)?;
    expect(options, &mut b, A, b"", Law::Order)?;
    expect(options, &mut b, A, b"\0", Law::Order)?;
    expect(options, &mut b, A, &largest, Law::Limit)?;
    expect(options, &mut b, A, b"", Law::Order)
}

/// T4: a frame over the limit is refused when sending, and the connection stays usable.
///
/// # Errors
/// [`Law::Limit`].
pub fn check_limit<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b] = network(make)?;
    let limit = a.max_frame();
    if limit > options.largest {
        return Ok(()); // too large to try
    }
    match a.send(B, &vec![0; limit + 1]) {
        Err(error) if matches!(error.fault(), Fault::TooLarge { .. }) => names(&error, B)?,
        Err(error) => return broken(Law::Limit, format!("a frame over the limit is not TooLarge: {error}")),
        Ok(()) => {
            return broken(Law::Limit, format!("a frame of {} bytes passes the limit of {limit}", limit + 1));
        }
    }
    send(&mut a, B, b"after", Law::Limit)?;
    expect(options, &mut b, A, b"after", Law::Limit)
}

/// T3: a party can be read while frames of another wait, in whatever order they came.
///
/// # Errors
/// [`Law::Order`].
pub fn check_no_order_across_pairs<T: Transport + Send>(
    options: &Options,
    make: &mut impl FnMut(&[&str]) -> Vec<T>,
) -> Result<(), Broken> {
    let [mut a, mut b, mut c] = network(make)?;
    for number in 0..3 {
        send(&mut b, A, &pattern(number, 100), Law::Order)?;
        send(&mut c, A, &pattern(10 + number, 100), Law::Order)?;
    }
    for (party, first) in [(C, 10), (B, 0)] {
        for number in first..first + 3 {
            expect(options, &mut a, party, &pattern(number, 100), Law::Order)?;
        }
    }
    Ok(())
}
