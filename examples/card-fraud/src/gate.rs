//! Limits on queries: a queue in order of arrival, and a rate for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lets a fixed number of holders in at a time, the others in the order in which they came.
///
/// A query is read from the network only while its connection holds a place. So the server's memory is bounded by the
/// number of places and not by the number of clients. Waiting queries stay in the clients and in the network's buffers.
#[derive(Debug)]
pub struct Places {
    state: Mutex<Queue>,
    turn: Condvar,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    next_ticket: u64,
    next_served: u64,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a Places);

impl Places {
    /// `count` places.
    pub fn new(count: usize) -> Self {
        let state = Mutex::new(Queue { free: count, next_ticket: 0, next_served: 0 });
        Self { state, turn: Condvar::new() }
    }

    /// Waits for a place.
    pub fn take(&self) -> Place<'_> {
        let mut queue = self.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        while queue.next_served != ticket || queue.free == 0 {
            queue = self.turn.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.next_served += 1;
        queue.free -= 1;
        drop(queue);
        // The next in the queue may find another place free.
        self.turn.notify_all();
        Place(self)
    }

    /// A panic of a holder leaves the counts consistent, so a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.turn.notify_all();
    }
}

/// A rate for each address (the generic cell rate algorithm: a leaky bucket without a timer).
///
/// A client can copy a tree with enough queries, despite the encryption. A rate limit slows this down.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    burst: Duration,
    /// When each address will have used up what it has asked for.
    booked: Mutex<HashMap<IpAddr, Instant>>,
}

/// Above this many addresses those that owe nothing are forgotten.
const REMEMBERED: usize = 10_000;

impl RateLimit {
    /// `per_minute` queries on average, `burst` of them at once. `None` for a rate of 0, which means no limit.
    pub fn new(per_minute: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(60).checked_div(per_minute)?;
        Some(Self { interval, burst: interval * burst.max(1), booked: Mutex::new(HashMap::new()) })
    }

    /// Counts a query of `address` at `now`.
    ///
    /// # Errors
    /// How long to wait, if it is one too many; it is not counted then.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
        if booked.len() > REMEMBERED {
            booked.retain(|_, until| *until > now);
        }
        let until = booked.get(&address).copied().unwrap_or(now).max(now) + self.interval;
        let excess = until.saturating_duration_since(now).saturating_sub(self.burst);
        if !excess.is_zero() {
            return Err(excess);
        }
        booked.insert(address, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_holders_than_places_and_nobody_is_lost() {
        let places = Arc::new(Places::new(3));
        let (inside, most, served) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let place = places.take();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(1));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    served.fetch_add(1, Ordering::SeqCst);
                    drop(place);
                });
            }
        });
        assert_eq!(served.into_inner(), 100);
        assert!((2..=3).contains(&most.into_inner()));
    }

    #[test]
    fn places_go_in_order_of_arrival() {
        let places = Places::new(1);
        let order = Mutex::new(Vec::new());
        let first = places.take();
        thread::scope(|scope| {
            for number in 0..5 {
                let (places, order) = (&places, &order);
                scope.spawn(move || {
                    let _place = places.take();
                    order.lock().unwrap().push(number);
                });
                while places.lock().next_ticket != number + 2 {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_rate_allows_a_burst_and_then_one_in_each_interval() {
        let limit = RateLimit::new(60, 3).unwrap();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!((0..3).all(|_| limit.take(one, start).is_ok()));
        assert_eq!(limit.take(one, start), Err(Duration::from_secs(1)));
        assert!(limit.take(other, start).is_ok());
        assert_eq!(limit.take(one, at(400)), Err(Duration::from_millis(600)));
        assert!(limit.take(one, at(1_000)).is_ok());
        assert!(limit.take(one, at(1_001)).is_err());
        // A long pause fills the bucket, and no further.
        assert_eq!((0..9).filter(|_| limit.take(one, at(900_000)).is_ok()).count(), 3);
        assert!(RateLimit::new(0, 5).is_none());
    }
}
