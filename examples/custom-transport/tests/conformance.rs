//! The transport keeps the laws, and its server refuses what it should.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::time::Duration;

use axum::Router;
use tokio::runtime::{Builder, Runtime};

use custom_transport::{
    http::{HttpTransport, Peer},
    site,
};
use subrosa_transport::{Deadline, Fault, PartyId, Roster, Transport, conformance};

const LIMIT: usize = 1 << 20;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn the_transport_conforms() {
    let runtime = runtime();
    conformance::check_all(|names| -> Vec<HttpTransport> {
        let _inside = runtime.enter();
        site::connect(names, LIMIT, &Router::new()).unwrap().0
    })
    .unwrap();
}

/// Party 1's end of a pair, served over plain HTTP so that a test can speak to it as anybody; and its address.
fn served(runtime: &Runtime) -> (HttpTransport, String) {
    let _inside = runtime.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let peer = Peer {
        url: "http://127.0.0.1:9".to_owned(), // nobody is there
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        token: "mine".to_owned(),
        their_token: "theirs".to_owned(),
    };
    let roster = Roster::new(["anna", "bert"], PartyId::new(1)).unwrap();
    let (transport, routes) = HttpTransport::new(roster, vec![Some(peer), None], LIMIT);
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (transport, address)
}

fn post(runtime: &Runtime, url: String, token: &str, body: Vec<u8>) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    runtime.block_on(async {
        client.post(url).bearer_auth(token).body(body).send().await.unwrap().status().as_u16()
    })
}

#[test]
fn strangers_duplicates_gaps_and_long_frames_are_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = runtime();
    let (mut transport, address) = served(&runtime);
    let frame = |number: u64| format!("{address}/frames/{number}");
    assert_eq!(post(&runtime, frame(0), "guessed", b"trust me".to_vec()), 401);
    assert_eq!(post(&runtime, frame(0), "mine", b"the wrong way round".to_vec()), 401);
    assert_eq!(post(&runtime, frame(1), "theirs", b"early".to_vec()), 409);
    assert_eq!(post(&runtime, frame(0), "theirs", vec![0; LIMIT + 1]), 413);
    assert_eq!(post(&runtime, frame(0), "theirs", b"first".to_vec()), 200);
    assert_eq!(post(&runtime, frame(0), "theirs", b"first again".to_vec()), 200);
    assert_eq!(post(&runtime, frame(1), "theirs", b"second".to_vec()), 200);

    let anna = PartyId::new(0);
    let soon = || Deadline::after(Duration::from_secs(5));
    assert_eq!(transport.receive(anna, soon()).unwrap(), b"first");
    assert_eq!(transport.receive(anna, soon()).unwrap(), b"second");
    assert!(transport.receive(anna, Deadline::now()).unwrap_err().is_timeout());

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let leave = client.delete(format!("{address}/frames")).bearer_auth("theirs").send();
    assert!(runtime.block_on(leave).unwrap().status().is_success());
    assert_eq!(transport.receive(anna, soon()).unwrap_err().fault(), &Fault::Disconnected);
    assert_eq!(transport.send(anna, b"hello?").unwrap_err().fault(), &Fault::Disconnected);
    assert_eq!(post(&runtime, frame(2), "theirs", b"back again".to_vec()), 409);
}
