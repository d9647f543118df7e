//! The page's server over HTTP, without a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)] // test code

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{Bank, Web, card_fraud, is_running, signal};

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")))?;
        Some(line[name.len() + 2..].trim())
    }

    /// The problem's code, and its message.
    fn problem(&self) -> (String, String) {
        let problem = &self.json()["problem"];
        let text = |name: &str| problem[name].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }
}

/// Sends bytes as they are.
fn send(host: &str, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = Vec::new();
    // A refused body may end the connection harshly, after the reply.
    let _ = stream.read_to_end(&mut reply);
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{reply:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

/// A request with these headers besides Connection, and a body.
fn request(web: &Web, first: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut text = format!("{first} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    send(web.host(), format!("{text}\r\n{body}").as_bytes())
}

fn get(web: &Web, path: &str) -> Reply {
    request(web, &format!("GET /{}/{path}", web.token()), &[("Host", web.host())], "")
}

fn post(web: &Web, path: &str, body: &Value) -> Reply {
    let headers = [
        ("Host", web.host()),
        ("Origin", &format!("http://{}", web.host())),
        ("Content-Type", "application/json"),
    ];
    request(web, &format!("POST /{}/api/{path}", web.token()), &headers, &body.to_string())
}

fn done(web: &Web, path: &str, body: &Value) -> Value {
    let reply = post(web, path, body);
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.json()
}

fn purchase(home: &str, last: &str, ratio: &str, [repeat, chip, pin, online]: [bool; 4]) -> Value {
    json!({
        "distance_from_home": home, "distance_from_last_transaction": last,
        "ratio_to_median_purchase_price": ratio, "repeat_retailer": repeat, "used_chip": chip,
        "used_pin_number": pin, "online_order": online,
    })
}

fn typical() -> Value {
    purchase("6.5", "0.8", "1.2", [true, true, false, false])
}

#[test]
fn four_steps_give_the_verdict_and_the_bank_tells_what_it_saw() {
    let web = Web::start();
    let dubious = purchase("310", "95", "6.4", [false, false, false, true]);
    let key = done(&web, "key", &json!({}));
    assert_eq!(key["bits"], 2_048);
    let mut firsts = Vec::new();
    for (row, verdict) in [(typical(), "genuine"), (dubious, "fraud")] {
        let encrypted = done(&web, "encrypt", &row);
        let number = json!({ "number": encrypted["number"] });
        let home: f64 = row["distance_from_home"].as_str().unwrap().parse().unwrap();
        assert_eq!(encrypted["plain"][0], json!(["distance_from_home", home]));
        let first = encrypted["first"].as_str().unwrap().to_owned();
        assert_eq!(first.len(), 256);
        let asked = done(&web, "ask", &number);
        // In the bank's own words: the very bytes that were shown before they left, and no more.
        let saw = &asked["bank_saw"];
        assert_eq!((&saw["first"], &saw["bytes"]), (&json!(first), &encrypted["bytes"]));
        assert_eq!(saw["address"], "127.0.0.1");
        assert!(saw["microseconds"].as_u64().unwrap() > 0);
        assert!(asked["answer_bytes"].as_u64().unwrap() < 4_096);
        let read = done(&web, "decrypt", &number);
        assert_eq!(read["verdict"], verdict);
        assert!(read["total_milliseconds"].as_f64() > asked["milliseconds"].as_f64());
        firsts.push(first);
    }
    // The public head is the same, the rest is not.
    assert_eq!(firsts[0][..80], firsts[1][..80]);
    assert_ne!(firsts[0][80..], firsts[1][80..]);
}

#[test]
fn steps_out_of_order_and_from_other_tabs_say_what_to_do() {
    let web = Web::start();
    let expect = |path: &str, body: Value, status: u16, code: &str| {
        let reply = post(&web, path, &body);
        assert_eq!((reply.status, &*reply.problem().0), (status, code), "{path}");
    };
    expect("encrypt", typical(), 409, "key-missing");
    expect("ask", json!({ "number": 1 }), 409, "key-missing");
    done(&web, "key", &json!({}));
    expect("ask", json!({ "number": 1 }), 409, "purchase-missing");
    let old = done(&web, "encrypt", &typical())["number"].clone();
    expect("decrypt", json!({ "number": old }), 409, "answer-missing");
    let new = done(&web, "encrypt", &typical())["number"].clone();
    expect("ask", json!({ "number": old }), 410, "replaced");
    done(&web, "ask", &json!({ "number": new }));
    assert_eq!(done(&web, "decrypt", &json!({ "number": new }))["verdict"], "genuine");
    // A page that is loaded again finds the key, and learns no more of it than its size.
    let state = get(&web, "api/state").json();
    assert_eq!(state["key"]["bits"], 2_048);
    assert_eq!(state["key"].as_object().unwrap().len(), 3);
}

#[test]
fn wrong_values_are_named_and_change_nothing() {
    let web = Web::start();
    done(&web, "key", &json!({}));
    let number = done(&web, "encrypt", &typical())["number"].clone();
    let reply = post(&web, "encrypt", &purchase("-4", "1", "lots", [false; 4]));
    assert_eq!((reply.status, &*reply.problem().0), (422, "form"));
    let fields = &reply.json()["problem"]["fields"];
    assert_eq!(
        *fields,
        json!([
            { "name": "distance_from_home", "message": "This cannot be negative." },
            { "name": "ratio_to_median_purchase_price", "message": "“lots” is not a number." },
        ])
    );
    done(&web, "ask", &json!({ "number": number }));
    for body in [json!([]), json!({ "distance_from_home": "1" }), json!("x")] {
        assert_eq!(post(&web, "encrypt", &body).status, 400, "{body}");
    }
    let mut more = typical();
    more["fraud"] = json!(0);
    assert_eq!(post(&web, "encrypt", &more).status, 400);
    assert_eq!(post(&web, "ask", &json!({ "number": 1.5 })).status, 400);
}

#[test]
fn only_who_knows_the_address_gets_anything() {
    let web = Web::start();
    let (host, token) = (web.host(), web.token());
    let page = format!("GET /{token}/");
    let state = format!("GET /{token}/api/state");
    let key = format!("POST /{token}/api/key");
    let refused = |first: &str, headers: &[(&str, &str)]| {
        let reply = request(&web, first, headers, "");
        assert_eq!(reply.status, 403, "{first} {headers:?}");
        assert!(!reply.body.contains(token) && !reply.body.contains("bank"), "{}", reply.body);
        // Also refusals carry what protects the page.
        assert!(reply.header("content-security-policy").is_some());
    };
    let name = format!("attacker.example:{}", host.rsplit(':').next().unwrap());
    refused("GET /", &[("Host", host)]);
    refused("GET /favicon.ico", &[("Host", host)]);
    refused("GET /api/state", &[("Host", host)]);
    refused(&format!("GET /{}/", "0".repeat(token.len())), &[("Host", host)]);
    refused(&format!("GET /{}/", &token[..token.len() - 1]), &[("Host", host)]);
    refused(&page, &[("Host", &name)]);
    refused(&state, &[("Host", "127.0.0.1:1")]);
    refused(&key, &[("Host", host), ("Origin", "http://attacker.example")]);
    refused(&key, &[("Host", host), ("Origin", "null")]);
    refused(&key, &[("Host", host), ("Sec-Fetch-Site", "cross-site")]);
    assert_eq!(request(&web, &page, &[("Host", host)], "").status, 200);
    assert_eq!(request(&web, &state, &[("Host", host)], "").status, 200);
    let localhost = host.replace("127.0.0.1", "localhost");
    assert_eq!(request(&web, &page, &[("Host", &localhost)], "").status, 200);
    let moved = request(&web, &format!("GET /{token}"), &[("Host", host)], "");
    assert_eq!((moved.status, moved.header("location").unwrap()), (308, &*format!("/{token}/")));
}

#[test]
fn every_response_is_locked_down_and_bodies_are_short() {
    let web = Web::start();
    let kinds = [
        ("", "text/html"),
        ("style.css", "text/css"),
        ("script.js", "text/javascript"),
        ("icon.svg", "image/svg"),
    ];
    for (path, kind) in kinds {
        let reply = get(&web, path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").unwrap().starts_with(kind), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    assert_eq!(get(&web, "nothing").status, 404);
    assert_eq!(get(&web, "api/key").status, 405);
    assert_eq!(get(&web, "../../etc/passwd").status, 404);

    let long = json!({ "number": 1, "more": "x".repeat(5_000) });
    assert_eq!(post(&web, "ask", &long).status, 413);
    let first = format!("POST /{}/api/ask", web.token());
    let reply =
        request(&web, &first, &[("Host", web.host()), ("Content-Type", "text/plain")], "{\"number\":1}");
    assert_eq!(reply.status, 415);
    // Without a length, too.
    let chunk = "x".repeat(3_000);
    let text = format!(
        "{first} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\nbb8\r\n{chunk}\r\nbb8\r\n{chunk}\r\n0\r\n\r\n",
        web.host()
    );
    assert_eq!(send(web.host(), text.as_bytes()).status, 413);
}

#[test]
fn a_bank_that_goes_away_and_comes_back() {
    let bank = Bank::start("127.0.0.1:0");
    let address = bank.address.clone();
    let web = Web::with(&["--server", &address]);
    done(&web, "key", &json!({}));
    let number = json!({ "number": done(&web, "encrypt", &typical())["number"] });
    bank.stop();
    let away = post(&web, "ask", &number);
    let (code, message) = away.problem();
    assert_eq!((away.status, &*code), (502, "bank-away"));
    assert!(message.contains(&address) && message.contains("does not answer"), "{message}");
    assert_eq!(away.json()["problem"]["remedy"], "retry");
    assert_eq!(get(&web, "api/bank").json()["bank"]["answers"], false);
    assert_eq!(post(&web, "bank", &json!({})).problem().0, "not-our-bank");
    assert_eq!(post(&web, "key", &json!({})).problem().0, "bank-away");

    let bank = Bank::start(&address);
    assert_eq!(get(&web, "api/bank").json()["bank"]["answers"], true);
    // The purchase was not lost, and this bank keeps its journal to itself.
    assert_eq!(done(&web, "ask", &number)["bank_saw"], Value::Null);
    assert_eq!(done(&web, "decrypt", &number)["verdict"], "genuine");
    bank.stop();
}

#[test]
fn a_bank_of_its_own_that_is_killed_can_be_started_again() {
    let web = Web::start();
    done(&web, "key", &json!({}));
    let number = json!({ "number": done(&web, "encrypt", &typical())["number"] });
    let process = |state: &Value| u32::try_from(state["bank"]["process"].as_u64().unwrap()).unwrap();
    let first = process(&get(&web, "api/state").json());
    assert_ne!(first, web.process.id());
    signal(first, "-KILL");
    let away = post(&web, "ask", &number);
    assert_eq!((away.status, &*away.problem().0), (502, "bank-away"));
    assert_eq!(away.json()["problem"]["remedy"], "start-bank");
    let state = done(&web, "bank", &json!({}));
    assert_ne!(process(&state), first);
    done(&web, "ask", &number);
    assert_eq!(done(&web, "decrypt", &number)["verdict"], "genuine");
}

#[test]
fn a_key_that_lies_unused_is_wiped() {
    let web = Web::with(&["--rows", support::ROWS, "--idle", "2"]);
    done(&web, "key", &json!({}));
    thread::sleep(Duration::from_secs(4));
    let state = get(&web, "api/state").json();
    assert_eq!((&state["key"], &state["expired"]), (&Value::Null, &json!(true)));
    let reply = post(&web, "encrypt", &typical());
    assert_eq!((reply.status, &*reply.problem().0), (410, "key-expired"));
    done(&web, "key", &json!({}));
    done(&web, "encrypt", &typical());
}

/// Whichever way the card holder's process ends, the bank's server that it has started does not stay.
#[test]
fn the_banks_server_ends_with_the_process_that_started_it() {
    for (name, code) in [("-TERM", Some(0)), ("-INT", Some(0)), ("-KILL", None)] {
        let mut web = Web::start();
        let state = get(&web, "api/state").json();
        let bank = u32::try_from(state["bank"]["process"].as_u64().unwrap()).unwrap();
        assert!(is_running(bank));
        web.process.signal(name);
        assert_eq!(web.process.wait().code(), code, "{name}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while is_running(bank) && !is_zombie(bank) {
            assert!(Instant::now() < deadline, "{name}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Ended, but not yet waited for by whoever takes care of orphans.
fn is_zombie(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn addresses_that_cannot_be_used_are_errors() {
    let fails = |options: &[&str]| {
        let output = card_fraud().arg("web").args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(fails(&["--listen", "nowhere.invalid:1"]).contains("nowhere.invalid:1"));
    assert!(fails(&["--server", "no-port"]).contains("no-port"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(fails(&["--listen", &address]).contains(&address));
}
