//! How many queries each client may send, whatever connections it uses.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients that are remembered at a time. Further clients are refused until the limit of a remembered one is full again.
const MAX_CLIENTS: usize = 1 << 16;

/// The most queries of a client: at once, and in each period after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Queries per period.
    pub queries: u32,
    /// The period.
    pub period: Duration,
}

/// Counts the queries of each client over all its connections. The threads of a server share one.
#[derive(Debug)]
pub struct Admission {
    limit: RateLimit,
    clients: Mutex<HashMap<Vec<u8>, Bucket>>,
    most: usize,
}

impl Admission {
    /// The same limit for each client.
    #[must_use]
    pub fn per_client(limit: RateLimit) -> Self {
        Self { limit, clients: Mutex::default(), most: MAX_CLIENTS }
    }

    /// Whether a client may send a query now; if so, it is counted.
    ///
    /// # Arguments
    /// `client` is what the client cannot change at will, such as its certificate.
    #[must_use]
    pub fn admit(&self, client: &[u8], now: Instant) -> bool {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = clients.get_mut(client) {
            return bucket.take(now);
        }
        if clients.len() >= self.most {
            // A full bucket is what a new client has.
            clients.retain(|_, bucket| !bucket.is_full(now));
        }
        if clients.len() >= self.most {
            return false;
        }
        clients.entry(client.to_vec()).or_insert_with(|| Bucket::new(self.limit)).take(now)
    }
}

/// A token bucket: full at first, refilled evenly.
#[derive(Debug)]
struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled: Option<Instant>,
}

impl Bucket {
    fn new(limit: RateLimit) -> Self {
        Self { limit, tokens: f64::from(limit.queries), filled: None }
    }

    fn fill(&mut self, now: Instant) {
        if let Some(filled) = self.filled {
            let periods =
                now.saturating_duration_since(filled).as_secs_f64() / self.limit.period.as_secs_f64();
            let full = f64::from(self.limit.queries);
            // A period of zero refills at once.
            self.tokens = if periods.is_nan() { full } else { (self.tokens + periods * full).min(full) };
        }
        self.filled = Some(now);
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.limit.queries)
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_content_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RateLimit { queries: 3, period: Duration::from_secs(30) });
        assert!((0..3).all(|_| bucket.take(start)));
        assert!(!bucket.take(start + Duration::from_secs(9)));
        assert!(bucket.take(start + Duration::from_secs(11)));
        assert!(!bucket.take(start + Duration::from_secs(11)));
        let later = start + Duration::from_secs(1_000);
        assert_eq!((0..9).filter(|_| bucket.take(later)).count(), 3);
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_make_room() {
        let limit = RateLimit { queries: 1, period: Duration::from_secs(10) };
        let admission = Admission { most: 2, ..Admission::per_client(limit) };
        let start = Instant::now();
        assert!(admission.admit(b"a", start) && admission.admit(b"b", start));
        // Many names do not reset the count of a client.
        assert!(!admission.admit(b"c", start) && !admission.admit(b"a", start));
        let later = start + Duration::from_secs(10);
        assert!(admission.admit(b"c", later) && admission.admit(b"a", later));
        assert_eq!(admission.clients.lock().unwrap().len(), 2);
    }
}
