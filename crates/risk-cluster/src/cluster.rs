//! A worker's part in a cluster.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, io};

use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest, Sha256};

use crate::connect::Meeting;
use crate::engine;
use crate::error::{ClusterError, ConfigError, LossReason, LostWorker};
use crate::greeting::{Direction, Greeting};
use crate::hosted::Hosted;
use crate::post::Post;
use crate::trust::Endpoints;
use crate::worker::{Limits, Worker};
use subrosa_risk_propagation::shards::{Exchange, Shard, Shards};

/// Most workers of a cluster.
const MOST: usize = 1000;

/// How long the others may take to hear that the run has failed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// One worker's part in a cluster of workers, which together host the shards of one bank.
///
/// All workers list the same workers in the same order. Shard s is hosted by worker s modulo the number of workers.
pub struct Cluster {
    workers: Vec<Worker>,
    me: usize,
    key: PrivateKeyDer<'static>,
    generation: u64,
    limits: Limits,
    listener: Option<TcpListener>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the private key.
        f.debug_struct("Cluster")
            .field("workers", &self.workers)
            .field("me", &self.me)
            .field("key", &"<redacted>")
            .field("generation", &self.generation)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster of these workers. `me` is the name of this one, `key` the private key of its certificate.
    ///
    /// # Errors
    /// There are no or more than 1,000 workers, two have the same name or certificate, or `me` is not among them.
    pub fn new(me: &str, workers: Vec<Worker>, key: PrivateKeyDer<'static>) -> Result<Self, ConfigError> {
        if !(1..=MOST).contains(&workers.len()) {
            return Err(ConfigError::Workers { workers: workers.len(), most: MOST });
        }
        for (index, worker) in workers.iter().enumerate() {
            let earlier = workers.iter().take(index);
            for other in earlier {
                if other.name == worker.name {
                    return Err(ConfigError::EqualNames { name: worker.name.clone() });
                }
                if other.certificate == worker.certificate {
                    let (first, second) = (other.name.clone(), worker.name.clone());
                    return Err(ConfigError::EqualCertificates { first, second });
                }
            }
        }
        let place = workers.iter().position(|worker| worker.name == me);
        let me = place.ok_or_else(|| ConfigError::Unknown { name: me.to_owned() })?;
        Ok(Self { workers, me, key, generation: 0, limits: Limits::default(), listener: None })
    }

    /// Sets the generation: a number that grows with every start of the cluster.
    ///
    /// Workers of different generations do not talk to each other, so that no process that is left over from an earlier start takes part.
    /// Default 0.
    #[must_use]
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Sets time limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the socket that this worker listens on, where it is not that of its own address in the list.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Connects to all other workers, and runs `job` once for each shard that this worker hosts, each on a thread of its own. Returns when the
    /// jobs of all shards of all workers have returned, with the results of the own shards in order.
    ///
    /// What a job returns does not end the run of the others, but a job that stops taking part does: the calls of the other jobs to
    /// their [`Exchange`] fail.
    ///
    /// If it returns an error after it has been connected, threads of the engine are left behind, and the process should end: see the
    /// [front page](crate).
    ///
    /// # Errors
    /// The workers do not come together, one of them is lost, or a job panics. See [`ClusterError`].
    pub fn run<R: Send>(
        self,
        shards: Shards,
        job: impl Fn(&mut dyn Exchange) -> R + Sync,
    ) -> Result<Vec<(Shard, R)>, ClusterError> {
        self.limits.check()?;
        let workers = self.workers.len();
        if shards.count() < workers {
            return Err(ConfigError::FewShards { shards: shards.count(), workers }.into());
        }
        let names = self.workers.iter().map(|worker| worker.name.clone()).collect();
        let post = Arc::new(Post::new(shards, names, self.me, self.limits.silence, self.limits.stall));
        let outcome = self.take_part(shards, &post, job);
        if let Err(error) = &outcome {
            if !matches!(error, ClusterError::Panicked { .. }) {
                post.lose(post.me, LossReason::GaveUp);
            }
            post.wait_for_messengers(LAST_WORDS);
        }
        outcome
    }

    fn take_part<R: Send>(
        mut self,
        shards: Shards,
        post: &Arc<Post>,
        job: impl Fn(&mut dyn Exchange) -> R + Sync,
    ) -> Result<Vec<(Shard, R)>, ClusterError> {
        let mine = &self.workers[self.me];
        let certificates: Vec<_> = self.workers.iter().map(|worker| worker.certificate.clone()).collect();
        let endpoints = Endpoints::new(&certificates, &mine.certificate, &self.key)?;
        let links = if self.workers.len() == 1 {
            vec![None]
        } else {
            let listener = match self.listener.take() {
                Some(listener) => listener,
                None => TcpListener::bind(&mine.address)?,
            };
            let meeting = Meeting {
                post,
                workers: &self.workers,
                endpoints: &endpoints,
                greeting: self.greeting(shards)?,
                deadline: Instant::now() + self.limits.connect,
                handshake: self.limits.handshake,
            };
            meeting.connect(&listener)?
        };
        engine::start(post, links)?;
        let results = thread::scope(|scope| {
            let job = &job;
            let run = |(own, shard)| {
                let mut hosted = Hosted::new(Arc::clone(post), shard, own);
                let thread = thread::Builder::new().name(shard.to_string());
                // Where a thread cannot be had, its shard leaves, and the others hear of it.
                let thread = thread.spawn_scoped(scope, move || job(&mut hosted));
                thread.map(|thread| (shard, thread))
            };
            let threads: Vec<io::Result<_>> = post.own().enumerate().map(run).collect();
            threads
                .into_iter()
                .map(|thread| {
                    let (shard, thread) = thread?;
                    let result = thread.join().map_err(|_| ClusterError::Panicked { shard })?;
                    Ok((shard, result))
                })
                .collect::<Vec<Result<_, ClusterError>>>()
        });
        match post.wait_for_end() {
            Ok(()) => results.into_iter().collect(),
            Err(LostWorker { worker, .. }) if worker == self.me => {
                Err(ClusterError::Internal { place: "the engine's thread panicked" })
            }
            Err(lost) => Err(ClusterError::Lost(lost)),
        }
    }

    fn greeting(&self, shards: Shards) -> Result<Greeting, ClusterError> {
        let mut hash = Sha256::new();
        for worker in &self.workers {
            hash.update((worker.certificate.len() as u64).to_le_bytes());
            hash.update(&worker.certificate);
        }
        // All are at most 1,024.
        let number = |number: usize| {
            u16::try_from(number).map_err(|_| ClusterError::Internal { place: "numbers of a greeting" })
        };
        Ok(Greeting {
            version: Greeting::VERSION,
            generation: self.generation,
            workers: number(self.workers.len())?,
            worker: number(self.me)?,
            shards: number(shards.count())?,
            direction: Direction::Forth,
            certificates: hash.finalize().into(),
        })
    }
}
