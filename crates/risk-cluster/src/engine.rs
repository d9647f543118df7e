//! The dataflow: parcels go to the worker that hosts their receiver. Everything that touches timely is here and in `link`.
//!
//! There is one dataflow with an input for each worker, which that worker alone uses. A worker's own probe therefore follows what it has
//! sent itself, and an idle worker holds up nobody. A time is a round and a wave. The time of a parcel is passed when the shard that it is
//! for has taken it, and a wave begins when the one that is [`WAVES`] before it is passed.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use timely::bytes::arc::Bytes;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::generic::AllocatorBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{Hooks, Push};
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Capability, Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::progress::Stamp;
use timely::scheduling::Activator;
use timely::worker::Worker;
use timely::{Accountable, WorkerConfig};

use crate::error::{ClusterError, LossReason};
use crate::link::Link;
use crate::parcel::Parcel;
use crate::post::{Origin, Post};

/// Waves that may be under way.
const WAVES: usize = 8;

/// Bytes of a wave, at least, if there are as many.
const WAVE: usize = 1 << 20;

/// How often the worker looks around when nothing happens; everything that happens wakes it.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the engine on threads of its own, and returns at once. [`Post::wait_for_end`] says when it has ended.
pub(crate) fn start(post: &Arc<Post>, links: Vec<Option<Link>>) -> Result<(), ClusterError> {
    let local = ProcessBuilder::new_typed_vector(1, Hooks::default().refill, None);
    let (builders, others): (Vec<AllocatorBuilder>, Box<dyn Any + Send>) = if post.workers() == 1 {
        (local.into_iter().map(AllocatorBuilder::Process).collect(), Box::new(()))
    } else {
        let (builders, guard) =
            initialize_networking_from_sockets(local, links, post.me, 1, Hooks::default())?;
        (builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard))
    };
    let shared = Arc::clone(post);
    let guards = timely::execute::execute_from(builders, others, WorkerConfig::default(), move |worker| {
        let _alarm = Alarm(&shared);
        shared.set_engine(thread::current());
        drive(worker, &shared);
    });
    let guards = guards.map_err(|_| ClusterError::Internal { place: "the engine does not start" })?;
    let post = Arc::clone(post);
    // Joining waits for connections, and for ever if one is lost: nobody waits for this thread.
    thread::Builder::new().name("cluster end".into()).spawn(move || {
        // A panic has been noted already.
        drop(guards.join());
        post.finish();
    })?;
    Ok(())
}

/// Notes a panic of the engine's thread, for which the shards would wait.
struct Alarm<'a>(&'a Post);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lose(self.0.me, LossReason::GaveUp);
        }
    }
}

/// Which times have been begun, and whether another one may be.
struct Waves {
    now: u64,
    /// Bytes sent at `now`.
    bytes: usize,
    /// Times before `now` that have not been passed.
    begun: VecDeque<u64>,
}

impl Waves {
    fn advance(&mut self, round: u32) -> u64 {
        if self.bytes > 0 {
            self.begun.push_back(self.now);
        }
        self.bytes = 0;
        self.now = (self.now + 1).max(u64::from(round) << 32);
        self.now
    }

    fn round(&self) -> u64 {
        self.now >> 32
    }
}

/// Capabilities for what has not been taken, and how to tell the engine when one is dropped.
type Held = Rc<RefCell<BTreeMap<Origin, Capability<u64>>>>;

fn drive(worker: &mut Worker, post: &Arc<Post>) {
    let (me, workers) = (post.me, post.workers());
    let held: Held = Rc::default();
    let mut mine = None;
    let mut activators: Vec<Activator> = Vec::with_capacity(workers);
    let probes: Vec<ProbeHandle<u64>> = (0..workers).map(|_| ProbeHandle::new()).collect();
    worker.dataflow::<u64, _, _>(|scope| {
        // Every worker must build the very same dataflow.
        for (sender, probe) in probes.iter().enumerate() {
            let mut input = InputHandle::<u64, NoopBuilder<Parcel>>::new_with_builder();
            let stream = scope.input_from(&mut input);
            let (held, post) = (Rc::clone(&held), Arc::clone(post));
            let pact = DistributorPact(|workers| ByWorker { workers });
            let sunk = stream.unary::<NoopBuilder<Parcel>, _, _, _>(pact, "sink", |_, info| {
                activators.push(scope.activator_for(info.address));
                move |input, _| {
                    input.for_each(|capability, parcel| {
                        let Some(time) = capability.least().copied() else { return };
                        held.borrow_mut()
                            .entry((sender, time))
                            .or_insert_with(|| capability.delayed(&time, 0));
                        deliver(&post, (sender, time), mem::take(parcel));
                    });
                }
            });
            sunk.probe_with(probe);
            // The inputs of the others are closed here.
            if sender == me {
                mine = Some((input, probe.clone()));
            }
        }
    });
    let mut waves = Waves { now: 0, bytes: 0, begun: VecDeque::new() };
    while worker.has_dataflows() {
        if post.failure().is_some() {
            // Ending the engine now would make its threads panic. The process has to end anyway.
            loop {
                thread::park();
            }
        }
        let mut busy = release(&held, post, &activators);
        if let Some((input, probe)) = &mut mine {
            busy |= send(input, &mut waves, probe, post);
        }
        if mine.is_some() && post.all_left() {
            mine = None;
            busy = true;
        }
        if busy {
            worker.step();
        } else {
            worker.step_or_park(Some(PAUSE));
        }
    }
}

/// Drops the capabilities for what has been taken.
fn release(held: &Held, post: &Post, activators: &[Activator]) -> bool {
    let mut any = false;
    held.borrow_mut().retain(|origin, _| {
        let taken = post.is_taken(*origin);
        if taken {
            any = true;
            // The operator tells the others.
            if let Some(activator) = activators.get(origin.0) {
                activator.activate();
            }
        }
        !taken
    });
    any
}

/// Sends what the shards have handed over, as far as the window of waves allows.
fn send(
    input: &mut InputHandle<u64, NoopBuilder<Parcel>>,
    waves: &mut Waves,
    probe: &ProbeHandle<u64>,
    post: &Post,
) -> bool {
    while waves.begun.front().is_some_and(|time| !probe.less_equal(time)) {
        waves.begun.pop_front();
    }
    let mut any = false;
    loop {
        let room = waves.begun.len() < WAVES;
        let mut round = 0;
        let parcel = post.next_parcel(|parcel| {
            round = parcel.header().map_or(0, |header| header.round);
            let fits = u64::from(round) <= waves.round() && waves.bytes < WAVE;
            fits || room || waves.bytes == 0
        });
        let Some(mut parcel) = parcel else { break };
        if u64::from(round) > waves.round() || waves.bytes >= WAVE {
            input.advance_to(waves.advance(round));
        }
        waves.bytes += parcel.bytes().len();
        input.send_batch(&mut parcel);
        any = true;
    }
    if waves.bytes > 0 && waves.begun.len() < WAVES {
        // A time is passed only when it is over.
        input.advance_to(waves.advance(0));
        any = true;
    }
    any
}

fn deliver(post: &Post, origin: Origin, parcel: Parcel) {
    let (sender, _) = origin;
    let malformed = |reason| post.lose(sender, LossReason::Malformed(reason));
    let header = match parcel.header() {
        Ok(header) => header,
        Err(reason) => return malformed(reason),
    };
    let (from, to) = (usize::from(header.from), usize::from(header.to));
    if from.max(to) >= post.shards.count() || post.host(from) != sender || post.host(to) != post.me {
        return malformed("a parcel with a wrong address");
    }
    post.deliver(origin, from, to / post.workers(), parcel);
}

/// Sends each parcel to the worker that hosts its receiver.
struct ByWorker {
    workers: usize,
}

impl Distributor<Parcel> for ByWorker {
    fn partition<T: Clone, P: Push<Message<T, Parcel>>>(
        &mut self,
        parcel: &mut Parcel,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        // Parcels are made here, so that they have a header.
        let to = parcel.header().map_or(0, |header| usize::from(header.to));
        if let Some(pusher) = pushers.get_mut(to % self.workers) {
            Message::push_at(parcel, stamp.clone(), pusher);
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Parcel>>>(&mut self, _stamp: &Stamp<T>, _pushers: &mut [P]) {}
}

impl Accountable for Parcel {
    fn record_count(&self) -> i64 {
        i64::from(!self.bytes().is_empty())
    }
}

/// A length and the bytes, filled up to a multiple of 8 as the engine likes it.
impl ContainerBytes for Parcel {
    fn from_bytes(bytes: Bytes) -> Self {
        // What does not fit becomes an empty parcel, which is refused where parcels are delivered.
        let whole = bytes.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            rest.get(..length)
        });
        Self::from_bytes(whole.unwrap_or_default().to_vec())
    }

    fn length_in_bytes(&self) -> usize {
        8 + self.bytes().len().next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let bytes = self.bytes();
        let filling = bytes.len().next_multiple_of(8) - bytes.len();
        for part in [&(bytes.len() as u64).to_le_bytes(), bytes, &[0; 8][..filling]] {
            // The engine writes to memory that it has reserved for the length above.
            let _ = writer.write_all(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use timely::bytes::arc::BytesMut;

    use super::*;
    use subrosa_risk_propagation::shards::Shards;

    #[test]
    fn a_panic_of_the_engine_fails_the_run() {
        let limit = Duration::from_secs(1);
        let post = Post::new(Shards::ONE, vec!["here".to_owned()], 0, limit, limit);
        drop(Alarm(&post));
        assert!(post.failure().is_none());
        thread::scope(|scope| {
            let engine = scope.spawn(|| {
                let _alarm = Alarm(&post);
                panic!("of the test");
            });
            assert!(engine.join().is_err());
        });
        let lost = post.wait_for_end().unwrap_err();
        assert!(matches!(lost.reason, LossReason::GaveUp));
    }

    #[test]
    fn parcels_that_do_not_decode_name_the_worker() {
        let limit = Duration::from_secs(1);
        let names = || vec!["here".to_owned(), "there".to_owned()];
        // From shard 0, which this worker hosts, to shard 1, which it does not; and no parcel at all.
        for bytes in [b"\0\0\x01\0\0\0\0\0\x01".as_slice(), b""] {
            let post = Post::new(Shards::new(2).unwrap(), names(), 0, limit, limit);
            deliver(&post, (1, 0), Parcel::from_bytes(bytes.to_vec()));
            let lost = post.failure().unwrap();
            assert!(lost.worker == 1 && matches!(lost.reason, LossReason::Malformed(_)), "{lost}");
        }
    }

    #[test]
    fn parcels_pass_through_the_bytes_of_the_engine() {
        for length in [9, 16, 1000] {
            let parcel = Parcel::from_bytes(vec![7; length]);
            let mut bytes = Vec::new();
            parcel.into_bytes(&mut bytes);
            assert_eq!(bytes.len(), parcel.length_in_bytes());
            assert_eq!(bytes.len() % 8, 0);
            let back =
                |bytes: Vec<u8>| <Parcel as ContainerBytes>::from_bytes(BytesMut::from(bytes).freeze());
            assert_eq!(back(bytes.clone()), parcel);
            // A length over what there is.
            bytes[7] = 1;
            assert!(back(bytes).bytes().is_empty());
        }
    }
}
