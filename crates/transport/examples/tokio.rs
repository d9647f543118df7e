//! Three parties add up their numbers. Their connections belong to tasks of a tokio runtime, each party's protocol to a
//! blocking thread. `cargo run -p subrosa-transport --example tokio`
//!
//! All parties are in this process and made their connections themselves, so each connection's ends are known. An
//! application proves them with mutual TLS, such as `tokio-rustls`; [`carry`] takes such a connection as it is.

use std::{collections::BTreeMap, error::Error, io, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf},
    net::{TcpListener, TcpStream},
    runtime, task,
};

use subrosa_transport::{
    ChannelTransport, Limits, Malformed, Message, Parameters, PartyId, Protocol, Roster, Session,
    SessionError,
    channel::{ChannelLimits, Peer},
};

#[derive(Serialize, Deserialize)]
struct Amount(u32);

impl Message for Amount {
    const ROUND: &'static str = "sum/amount";
    type Shape = ();

    fn max_bytes(_: &()) -> usize {
        5 // a u32 takes at most 5 bytes in postcard's variable-length form
    }

    fn check(&self, (): &()) -> Result<(), Malformed> {
        if self.0 <= 1000 { Ok(()) } else { Err(Malformed::new("amount too great")) }
    }
}

/// The protocol, which blocks.
fn sum(mut transport: ChannelTransport, mine: u32) -> Result<u32, SessionError> {
    let settings = Limits::default().with_timeout(Duration::from_secs(10));
    let protocol = Protocol { name: "sum", version: 1 };
    let mut session =
        Session::open(&mut transport, protocol, &Parameters::new(), settings, &mut rand::rng())?;
    let amounts = session.broadcast(&Amount(mine), &())?;
    session.confirm()?;
    Ok(amounts.values().map(|amount| amount.0).sum())
}

/// Moves frames between a connection and the handles of the peer at its other end, until the connection ends.
pub(crate) async fn carry(connection: impl AsyncRead + AsyncWrite + Send + 'static, peer: Peer) {
    let (mut reader, mut writer) = tokio::io::split(connection);
    let Peer { incoming, mut outgoing, .. } = peer;
    // An error of the writer drops `outgoing`, and the protocol cannot send to this peer any more.
    tokio::spawn(async move {
        while let Some(frame) = outgoing.next().await {
            writer.write_u32(u32::try_from(frame.len()).map_err(io::Error::other)?).await?;
            writer.write_all(&frame).await?;
            writer.flush().await?;
        }
        writer.shutdown().await
    });
    loop {
        let pushed = match read(&mut reader, incoming.max_frame()).await {
            Ok(frame) => incoming.push(frame).await,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return incoming.disconnect(),
            Err(error) => return incoming.fail(error.to_string()),
        };
        if pushed.is_err() {
            return; // the protocol has ended
        }
    }
}

async fn read(reader: &mut ReadHalf<impl AsyncRead>, max_frame: usize) -> io::Result<Vec<u8>> {
    let length = reader.read_u32().await? as usize;
    if length > max_frame {
        return Err(io::Error::other(format!("it announced a frame of {length} bytes")));
    }
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn run() -> Result<Vec<u32>, Box<dyn Error>> {
    let roster = Roster::new(["anna", "bert", "carla"], PartyId::new(0))?;
    let (mut protocols, mut peers) = (Vec::new(), BTreeMap::new());
    for me in roster.parties() {
        let (transport, handles) = ChannelTransport::new(roster.seen_by(me)?, ChannelLimits::default());
        protocols.push(task::spawn_blocking(move || sum(transport, 10 * me.number())));
        peers.extend(handles.into_iter().map(|peer| ((me, peer.party), peer)));
    }
    // The frames that the protocols have sent by now wait for the connections.
    while let Some(((a, b), handles_at_a)) = peers.pop_first() {
        let Some(handles_at_b) = peers.remove(&(b, a)) else { break };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at_a = TcpStream::connect(listener.local_addr()?).await?;
        let (at_b, _) = listener.accept().await?;
        tokio::spawn(carry(at_a, handles_at_a));
        tokio::spawn(carry(at_b, handles_at_b));
    }
    let mut sums = Vec::new();
    for protocol in protocols {
        sums.push(protocol.await??);
    }
    Ok(sums)
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let sums = runtime::Builder::new_current_thread().enable_io().build()?.block_on(run())?;
    println!("anna, bert and carla have 10, 20 and 30: {sums:?}");
    if sums == [60, 60, 60] { Ok(()) } else { Err("the sums are wrong".into()) }
}
