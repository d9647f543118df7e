//! The link to one peer, which outlives single connections.

use std::{
    collections::VecDeque,
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::record::{Greeting, Process};
use super::{TlsLimits, TlsProblem};
use crate::{
    Deadline, Fault,
    wiped::{Wiped, cost},
};

/// Frames in both directions, with their numbers, and the connection that carries them at present.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    /// Something has changed, see [`State`].
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Frames that have come and wait to be received.
    inbox: VecDeque<Wiped>,
    inbox_bytes: usize,
    /// The number of the next frame to come.
    next_in: u64,
    /// The last value of `next_in` that the peer was sent on the present connection.
    told: u64,
    /// Frames that the peer has not confirmed, the first of them with number `first_out`.
    out: VecDeque<Arc<Wiped>>,
    out_bytes: usize,
    first_out: u64,
    /// The number of the next frame to write to the present connection.
    cursor: u64,
    peer: Option<Process>,
    connection: Option<TcpStream>,
    /// Counts connections. A thread that serves an old one detects it by this number.
    generation: u64,
    /// When the last connection ended; `None` before the first one.
    down_since: Option<Instant>,
    failed: Option<Fault>,
    /// Whether this party leaves. Everything is still written, then a goodbye.
    closing: bool,
    said_goodbye: bool,
    problem: Option<TlsProblem>,
}

/// Next action of the writer of a connection.
#[derive(Debug)]
pub(super) enum Work {
    Frame(u64, Arc<Wiped>),
    Received(u64),
    Alive,
    Goodbye,
    /// Stop: the connection is not the present one any more, or everything was sent.
    Stop,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                inbox: VecDeque::new(),
                inbox_bytes: 0,
                next_in: 0,
                told: 0,
                out: VecDeque::new(),
                out_bytes: 0,
                first_out: 0,
                cursor: 0,
                peer: None,
                connection: None,
                generation: 0,
                down_since: None,
                failed: None,
                closing: false,
                said_goodbye: false,
                problem: None,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panics while it holds the lock leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn send(&self, frame: &[u8], limits: &TlsLimits) -> Result<(), Fault> {
        let mut state = self.lock();
        state.check_down(limits);
        if let Some(fault) = &state.failed {
            return Err(fault.clone());
        }
        if state.out_bytes.saturating_add(cost(frame.len())) > limits.max_unsent {
            let problem =
                format!("it has not confirmed {} bytes of frames, no more are kept", state.out_bytes);
            state.fail(Fault::Failed(problem.clone()));
            self.changed.notify_all();
            return Err(Fault::Failed(problem));
        }
        state.out.push_back(Arc::new(frame.to_vec().into()));
        state.out_bytes += cost(frame.len());
        self.changed.notify_all();
        Ok(())
    }

    pub(super) fn receive(&self, deadline: Deadline, limits: &TlsLimits) -> Result<Vec<u8>, Fault> {
        let mut state = self.lock();
        loop {
            if let Some(mut frame) = state.inbox.pop_front() {
                let full = state.inbox_bytes > limits.max_unread;
                state.inbox_bytes -= cost(frame.len());
                if full {
                    self.changed.notify_all();
                }
                return Ok(std::mem::take(&mut *frame));
            }
            state.check_down(limits);
            if let Some(fault) = &state.failed {
                return Err(fault.clone());
            }
            let remaining = deadline.remaining();
            if remaining.is_zero() {
                return Err(Fault::TimedOut);
            }
            // Wakes up regularly to check whether the peer has been away for too long.
            state = self.wait(state, remaining.min(Duration::from_millis(500)));
        }
    }

    /// Makes the greeting of this party for a new connection.
    pub(super) fn greeting(&self, me: Process, max_frame: usize) -> Result<Greeting, TlsProblem> {
        let state = self.lock();
        if let Some(fault) = &state.failed {
            return Err(TlsProblem::Failed(fault.clone()));
        }
        Ok(Greeting {
            process: me,
            knows: state.peer.unwrap_or_default(),
            next: state.next_in,
            max_frame: max_frame as u64,
        })
    }

    /// Makes a connection the present one, after both greetings. Returns its generation.
    ///
    /// `answering` says whether the peer has not received this party's greeting yet.
    pub(super) fn adopt(
        &self,
        mine: &Greeting,
        theirs: &Greeting,
        socket: &TcpStream,
        answering: bool,
    ) -> Result<u64, TlsProblem> {
        if theirs.max_frame != mine.max_frame {
            return Err(TlsProblem::FrameLimits { theirs: theirs.max_frame, mine: mine.max_frame });
        }
        let mut state = self.lock();
        if state.peer.is_some_and(|peer| peer != theirs.process) {
            self.met_another(&mut state, answering)?;
        }
        if theirs.is_to_another(mine) {
            return Err(TlsProblem::MetAnEarlierProcess);
        }
        state.peer = Some(theirs.process);
        if state.failed.is_some() {
            return Err(TlsProblem::GivenUp);
        }
        let end = state.first_out + state.out.len() as u64;
        if theirs.next > end {
            return Err(TlsProblem::ConfirmsUnsent);
        }
        let socket = socket.try_clone()?;
        state.confirm(theirs.next);
        // A confirmation over the connection before is at least as new as the greeting.
        state.cursor = state.first_out;
        // The peer does not know of frames that came over the connection before after this party's greeting was made.
        // It sends them again, and must be told.
        state.told = mine.next;
        state.disconnect();
        state.connection = Some(socket);
        state.down_since = None;
        state.said_goodbye = false;
        state.problem = None;
        state.generation += 1;
        self.changed.notify_all();
        Ok(state.generation)
    }

    /// Handles a peer that runs in another process than before.
    fn met_another(&self, state: &mut State, answering: bool) -> Result<(), TlsProblem> {
        if state.connection.is_some() {
            return Err(TlsProblem::SecondProcess);
        }
        if state.failed.is_none() && state.next_in == 0 && state.first_out == 0 {
            // No frame of the earlier process came and none arrived there, so nothing is lost.
            state.peer = None;
            // This party's greeting named the earlier process, so the peer refuses this connection. The next one will
            // succeed.
            return if answering { Ok(()) } else { Err(TlsProblem::StartedAnew) };
        }
        let problem = TlsProblem::StartedAnewInRun;
        state.fail(Fault::Failed(problem.to_string()));
        self.changed.notify_all();
        Err(problem)
    }

    /// Waits for something to write. Confirmations go before frames, so that the peer keeps frames no longer than
    /// needed.
    pub(super) fn next_work(&self, generation: u64, idle: Duration) -> Work {
        let mut state = self.lock();
        let deadline = Deadline::after(idle);
        loop {
            if state.generation != generation || state.connection.is_none() || state.failed.is_some() {
                return Work::Stop;
            }
            if state.told != state.next_in {
                state.told = state.next_in;
                return Work::Received(state.next_in);
            }
            let index = state.cursor.saturating_sub(state.first_out);
            if let Some(frame) = usize::try_from(index).ok().and_then(|index| state.out.get(index)) {
                let work = Work::Frame(state.cursor, Arc::clone(frame));
                state.cursor += 1;
                return work;
            }
            // Everything has been written. The link still reconnects until everything is confirmed as well.
            if state.closing && state.out.is_empty() {
                return if state.said_goodbye { Work::Stop } else { Work::Goodbye };
            }
            let remaining = deadline.remaining();
            if remaining.is_zero() {
                return Work::Alive;
            }
            state = self.wait(state, remaining);
        }
    }

    /// Takes a frame that came over this connection. Waits while there is no room.
    pub(super) fn put(
        &self,
        generation: u64,
        number: u64,
        frame: Wiped,
        limits: &TlsLimits,
    ) -> Result<(), TlsProblem> {
        let mut state = self.lock();
        while state.inbox_bytes > limits.max_unread && state.generation == generation && !state.closing {
            state = self.wait(state, Duration::from_millis(500));
        }
        state.check_present(generation)?;
        if number < state.next_in {
            return Ok(()); // sent again after a connection was lost, but it had come
        }
        if number > state.next_in {
            return Err(TlsProblem::OutOfOrder { number, due: state.next_in });
        }
        state.next_in += 1;
        state.inbox_bytes += cost(frame.len());
        state.inbox.push_back(frame);
        self.changed.notify_all();
        Ok(())
    }

    /// Handles a confirmation: the peer has all frames below `next`.
    pub(super) fn confirmed(&self, generation: u64, next: u64) -> Result<(), TlsProblem> {
        let mut state = self.lock();
        state.check_present(generation)?;
        if next > state.cursor {
            return Err(TlsProblem::ConfirmsUnsent);
        }
        state.confirm(next);
        self.changed.notify_all();
        Ok(())
    }

    /// Notes that the goodbye was written to the present connection.
    pub(super) fn said_goodbye(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation {
            state.said_goodbye = true;
            if let Some(socket) = &state.connection {
                // The peer closes when it has read the goodbye. Closing here at once could reset the connection, and
                // the peer would not get the goodbye.
                let _ = socket.shutdown(Shutdown::Write);
            }
            // The peer may have closed already. A thread that flushes waits for this.
            self.changed.notify_all();
        }
    }

    /// Handles the goodbye of the peer.
    pub(super) fn goodbye(&self, generation: u64) -> Result<(), TlsProblem> {
        let mut state = self.lock();
        // A goodbye of an earlier process of the peer has no effect.
        state.check_present(generation)?;
        state.fail(Fault::Disconnected);
        self.changed.notify_all();
        Ok(())
    }

    /// Notes that this connection ended, and why.
    pub(super) fn lost(&self, generation: u64, reason: TlsProblem) {
        let mut state = self.lock();
        if state.generation == generation {
            state.disconnect();
            state.down_since.get_or_insert_with(Instant::now);
            state.problem.get_or_insert(reason);
            self.changed.notify_all();
        }
    }

    /// Notes that a connection failed, and why.
    pub(super) fn note_problem(&self, problem: TlsProblem) {
        let mut state = self.lock();
        if state.connection.is_none() {
            state.problem = Some(problem);
        }
    }

    pub(super) fn problem(&self) -> Option<TlsProblem> {
        self.lock().problem.clone()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.lock().connection.is_some()
    }

    /// Whether a new connection is needed.
    pub(super) fn wants_connection(&self) -> bool {
        let state = self.lock();
        state.connection.is_none() && state.failed.is_none() && !(state.closing && state.is_done())
    }

    /// Waits until the link may need a connection, at most for `longest`.
    pub(super) fn wait_for_change(&self, longest: Duration) {
        let state = self.lock();
        drop(self.wait(state, longest));
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Waits until everything is written and confirmed, or no longer can be.
    pub(super) fn flush(&self, deadline: Deadline) {
        let mut state = self.lock();
        while !state.is_done() && !deadline.has_passed() {
            state = self.wait(state, deadline.remaining());
        }
        state.fail(Fault::Disconnected);
        self.changed.notify_all();
    }
}

impl State {
    /// Records of a connection that is not the present one any more may be of another process.
    fn check_present(&self, generation: u64) -> Result<(), TlsProblem> {
        if self.generation == generation { Ok(()) } else { Err(TlsProblem::Superseded) }
    }

    fn confirm(&mut self, next: u64) {
        while self.first_out < next {
            let Some(frame) = self.out.pop_front() else { break };
            self.out_bytes -= cost(frame.len());
            self.first_out += 1;
        }
        self.cursor = self.cursor.max(self.first_out);
    }

    fn disconnect(&mut self) {
        if let Some(socket) = self.connection.take() {
            // Wakes the threads that read and write. An error means that the socket is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.failed.get_or_insert(fault);
        self.disconnect();
        self.out.clear();
        self.out_bytes = 0;
    }

    fn check_down(&mut self, limits: &TlsLimits) {
        if self.failed.is_none() && self.down_since.is_some_and(|since| since.elapsed() > limits.give_up) {
            let reason = self.problem.as_ref().map(TlsProblem::with_causes).unwrap_or_default();
            self.fail(Fault::Failed(format!("the connection was lost and did not come back ({reason})")));
        }
    }

    /// Whether nothing is left to send, or no peer to send it to.
    fn is_done(&self) -> bool {
        let heard = self.peer.is_none() || (self.said_goodbye && self.connection.is_none());
        self.failed.is_some() || (self.out.is_empty() && heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiped::FRAME_COST;

    #[test]
    fn empty_frames_fill_a_queue_too() {
        let room = 20 * FRAME_COST;
        let limits = TlsLimits { max_unread: room, max_unsent: room, ..TlsLimits::default() };
        let link = Link::new();
        for number in 0..=20 {
            assert!(link.lock().inbox_bytes <= limits.max_unread, "{number}");
            link.put(0, number, Wiped::default(), &limits).unwrap();
        }
        // Now the connection is not read until some have been received.
        assert!(link.lock().inbox_bytes > limits.max_unread);
        for _ in 0..=20 {
            assert_eq!(link.receive(Deadline::now(), &limits), Ok(Vec::new()));
        }
        assert_eq!(link.lock().inbox_bytes, 0);

        for _ in 0..20 {
            link.send(&[], &limits).unwrap();
        }
        link.lock().cursor = 20;
        link.confirmed(0, 20).unwrap();
        assert_eq!(link.lock().out_bytes, 0);
        for _ in 0..20 {
            link.send(&[], &limits).unwrap();
        }
        assert!(matches!(link.send(&[], &limits), Err(Fault::Failed(_))));
    }

    #[test]
    fn whoever_flushes_notices_a_goodbye_that_was_said_after_the_peer_had_closed() {
        let limits = TlsLimits::default();
        let link = Link::new();
        link.lock().peer = Some([1; 16]);
        link.close();
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let flushing = scope.spawn(|| link.flush(Deadline::after(4 * limits.linger)));
            // The reader has seen the peer close; the writer comes to say that the goodbye is out.
            std::thread::sleep(Duration::from_millis(50));
            link.said_goodbye(0);
            flushing.join().unwrap();
        });
        assert!(begin.elapsed() < limits.linger);
    }

    /// Two ends of a connection, the first for a link and the second for a peer that does not run.
    fn sockets() -> (TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    fn greeting_of(process: u8, mine: &Greeting) -> Greeting {
        Greeting { process: [process; 16], knows: mine.process, next: 0, max_frame: mine.max_frame }
    }

    #[test]
    fn what_comes_between_greeting_and_new_connection_is_confirmed() {
        let limits = TlsLimits::default();
        let link = Link::new();
        let (socket, _peer) = sockets();
        let greeting = || link.greeting([1; 16], limits.max_frame).unwrap();
        let mine = greeting();
        let first = link.adopt(&mine, &greeting_of(2, &mine), &socket, false).unwrap();
        link.put(first, 0, vec![7].into(), &limits).unwrap();
        assert!(matches!(link.next_work(first, Duration::ZERO), Work::Received(1)));
        // The writer finds the connection broken; the reader still has a frame in hand, as when it waited for room.
        link.lost(first, TlsProblem::Closed);
        let mine = greeting();
        link.put(first, 1, vec![8].into(), &limits).unwrap();
        let second = link.adopt(&mine, &greeting_of(2, &mine), &socket, false).unwrap();
        // The greeting promised less than there is: the peer sends it again, and is to learn that it has come.
        assert_eq!(mine.next, 1);
        link.put(second, 1, vec![8].into(), &limits).unwrap();
        let Work::Received(next) = link.next_work(second, Duration::ZERO) else {
            panic!("nothing is confirmed")
        };
        assert_eq!(next, 2);
    }

    #[test]
    fn an_old_connection_has_no_say() {
        let limits = TlsLimits::default();
        let link = Link::new();
        let (socket, _peer) = sockets();
        let mine = link.greeting([1; 16], limits.max_frame).unwrap();
        let first = link.adopt(&mine, &greeting_of(2, &mine), &socket, true).unwrap();
        link.lost(first, TlsProblem::Closed);
        // The peer was started anew before any frame, and gets what is queued for whoever comes.
        let mine = link.greeting([1; 16], limits.max_frame).unwrap();
        let second = link.adopt(&mine, &greeting_of(3, &mine), &socket, true).unwrap();
        link.send(b"to you", &limits).unwrap();
        assert!(matches!(link.next_work(second, Duration::ZERO), Work::Frame(0, _)));
        // The last record of the dead process is read late.
        assert!(link.confirmed(first, 1).is_err());
        assert!(link.goodbye(first).is_err());
        assert_eq!(link.lock().out.len(), 1);
        assert_eq!(link.lock().failed, None);
    }
}
