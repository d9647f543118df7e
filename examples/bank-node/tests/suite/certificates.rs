//! What `certs check` says, and what two banks say when a certificate is not right.

use std::time::{Duration, SystemTime};

use crate::common::{BANKS, Banks, run, text};
use bank_node::config::Config;
use subrosa_node::certs::{self, Validity};

fn hours(from: i64, until: i64) -> Validity {
    let from_now = |hours: i64| {
        let time = Duration::from_secs(hours.unsigned_abs() * 3600);
        if hours < 0 { SystemTime::now() - time } else { SystemTime::now() + time }
    };
    Validity { from: from_now(from), until: from_now(until) }
}

fn names() -> Vec<String> {
    BANKS.map(str::to_owned).to_vec()
}

/// All that `certs check` finds wrong, by a clock that is off by `clock_hours`.
fn problems(banks: &Banks, clock_hours: i64) -> String {
    let config = Config::read(&banks.path("amber.toml")).unwrap();
    let off = Duration::from_secs(clock_hours.unsigned_abs() * 3600);
    let now = if clock_hours < 0 { SystemTime::now() - off } else { SystemTime::now() + off };
    let findings = certs::check(&config.node, now);
    findings.into_iter().filter(|finding| !finding.good).map(|finding| finding.text + "\n").collect()
}

#[test]
fn check_says_what_is_wrong_in_words() {
    let mut banks = Banks::new(30);
    assert_eq!(problems(&banks, 0), "");
    // An hour more or less does no harm; a year does.
    assert_eq!(problems(&banks, 1), "");
    assert_eq!(problems(&banks, -1), "");
    assert!(problems(&banks, 24 * 400).contains("has expired: it was valid until"));
    let early = problems(&banks, -24 * 30);
    assert!(early.contains("not valid yet") && !early.contains("clock is wrong"), "{early}");
    let close = problems(&banks, -25);
    assert!(close.contains("not valid yet") && close.contains("clock is wrong"), "{close}");

    let other = banks.path("other");
    certs::make(&other, &names(), hours(-1, 1)).unwrap();
    let copy = |from: &str, to: &str| std::fs::copy(banks.path(from), banks.path(to)).unwrap();
    copy("other/amber.pem", "certs/amber.pem");
    let text = problems(&banks, 0);
    assert!(text.contains("is not the key of"), "{text}");
    assert!(
        text.contains("another key, signed it") || text.contains("not signed by the authority"),
        "{text}"
    );
    copy("other/ca.pem", "certs/ca.pem");
    copy("other/birch.pem", "certs/amber.pem");
    copy("other/birch-key.pem", "certs/amber-key.pem");
    let text = problems(&banks, 0);
    assert!(text.contains("another name") && text.contains("birch") && text.contains("`amber`"), "{text}");
    std::fs::write(banks.path("certs/amber.pem"), "hello").unwrap();
    assert!(problems(&banks, 0).contains("holds no certificate"));
    copy("other/amber-key.pem", "certs/amber.pem");
    assert!(problems(&banks, 0).contains("it holds a private key"));
    banks.configure(0, |changes| changes.certificate = "nobody".to_owned());
    assert!(problems(&banks, 0).contains("nobody.pem"));
}

/// Runs all banks with a bad certificate at birch; what the others and birch say.
fn refused(validity: Validity, foreign: bool) -> [String; 3] {
    let mut banks = Banks::new(30);
    let bad = banks.path("bad");
    certs::make(&bad, &names(), validity).unwrap();
    if !foreign {
        // The same authority for all, but birch's certificate is of another time.
        for bank in BANKS {
            std::fs::copy(bad.join(format!("{bank}.pem")), banks.path(&format!("certs/{bank}.pem"))).unwrap();
            std::fs::copy(bad.join(format!("{bank}-key.pem")), banks.path(&format!("certs/{bank}-key.pem")))
                .unwrap();
        }
        std::fs::copy(bad.join("ca.pem"), banks.path("certs/ca.pem")).unwrap();
    } else {
        std::fs::copy(bad.join("birch.pem"), banks.path("certs/birch.pem")).unwrap();
        std::fs::copy(bad.join("birch-key.pem"), banks.path("certs/birch-key.pem")).unwrap();
    }
    for bank in 0..3 {
        banks.configure(bank, |changes| changes.network = "connect_seconds = 2, attempts = 1".to_owned());
    }
    banks.start_all(&["keygen"]);
    [0, 1, 2].map(|bank| {
        assert_eq!(banks.wait(bank).code(), Some(1), "{}", banks.log(bank));
        banks.log(bank)
    })
}

#[test]
fn an_expired_certificate_is_named() {
    let logs = refused(hours(-48, -1), false);
    assert!(logs.iter().any(|log| log.contains("has expired, or a clock is wrong")), "{logs:?}");
}

#[test]
fn a_foreign_certificate_is_named() {
    let logs = refused(hours(-1, 24), true);
    let named =
        |log: &String| log.contains("not signed by the agreed authority") || log.contains("not acceptable");
    assert!(logs.iter().any(named), "{logs:?}");
    // And those who are not concerned name the one who did not come.
    assert!(logs[0].contains("birch"), "{}", logs[0]);
}

#[test]
fn a_clock_that_is_an_hour_off_does_no_harm() {
    // The certificates of `certs make` begin a day early, so for a slow clock they are valid, too.
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let validity = Validity::days(1);
    assert!(validity.from <= now - hour && validity.until >= now + hour);
    // Without that room, the reason is told.
    let logs = refused(hours(1, 48), false);
    assert!(logs.iter().any(|log| log.contains("not valid yet, or a clock is wrong")), "{logs:?}");
}

#[test]
fn names_that_make_no_certificate_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("certs");
    let make = |more: &[&str]| {
        let arguments = [&["certs", "make", "--out", out.to_str().unwrap()], more].concat();
        let output = run(&arguments);
        (output.status.code(), text(&output.stderr))
    };
    let refused = [
        (
            &["amber", "birch bank"][..],
            "`birch bank`: with an authority, a name is one that a host could have",
        ),
        (&["amber", "../birch"], "`../birch`: a name has no slash"),
        (&["amber", "birch", "Amber"], "`Amber`: two banks have this name, capitals or not"),
        (&["amber", "ca"], "`ca`: this name is the authority's here"),
        (&["amber", "-birch"], "unexpected argument"),
    ];
    for (names, words) in refused {
        let (code, told) = make(names);
        assert!(code != Some(0) && told.contains(words), "{names:?}: {told}");
        assert!(!out.exists(), "{names:?}");
    }
    for days in ["0", "40000", "4294967295"] {
        assert_eq!(make(&["--days", days, "amber"]).0, Some(2));
    }
    assert_eq!(make(&["amber", "birch"]).0, Some(0));
    // What is there stays.
    let key = std::fs::read(out.join("ca-key.pem")).unwrap();
    let (code, told) = make(&["coral"]);
    assert!(code == Some(1) && told.contains("ca-key.pem cannot be read or written: "), "{told}");
    assert_eq!(std::fs::read(out.join("ca-key.pem")).unwrap(), key);
    assert!(!out.join("coral.pem").exists());
}
