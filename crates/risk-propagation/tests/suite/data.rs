//! Files as banks might really hand them in.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::Path;

use subrosa_risk_propagation::{Banks, Error, Network, Problem, data};

const HEADER: &str = "id_source,bank_source,id_destination,bank_destination,amount\n";

fn folder(accounts: &[u8], transactions: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for bank in ["a", "b"] {
        std::fs::create_dir(directory.path().join(bank)).unwrap();
        std::fs::write(directory.path().join(bank).join("accounts.csv"), "id,risk_score\n").unwrap();
    }
    std::fs::write(directory.path().join("a/accounts.csv"), accounts).unwrap();
    std::fs::write(directory.path().join("a/transactions.csv"), transactions).unwrap();
    std::fs::write(directory.path().join("notes.txt"), "passed over").unwrap();
    directory
}

fn read(directory: &Path) -> Result<Network, Error> {
    let banks = data::banks_in(directory)?;
    data::read_bank(directory, &banks, "a")
}

/// The file, line, column and problem of an error about data.
fn refused(accounts: &[u8], transactions: &[u8]) -> (String, u64, String, Problem) {
    let directory = folder(accounts, transactions);
    match read(directory.path()).unwrap_err() {
        Error::Data { file, line, rejected } => {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, line, rejected.field, rejected.problem)
        }
        other => panic!("{other:?}"),
    }
}

fn bad_account(text: &str) -> (u64, String, Problem) {
    let (file, line, column, problem) = refused(text.as_bytes(), HEADER.as_bytes());
    assert_eq!(file, "accounts.csv");
    (line, column, problem)
}

fn bad_transfer(row: &str) -> (u64, String, Problem) {
    let text = format!("{HEADER}x,a,y,b,1\n{row}\n");
    let (file, line, column, problem) = refused(b"id,risk_score\n", text.as_bytes());
    assert_eq!(file, "transactions.csv");
    (line, column, problem)
}

fn at<T: ToOwned + ?Sized>(line: u64, column: &T, problem: Problem) -> (u64, T::Owned, Problem) {
    (line, column.to_owned(), problem)
}

#[test]
fn good_files() {
    let accounts = "\u{feff}name,risk_score,id\r\n0.25,0.5,x\r\n1,1e-3,\"y, z\"\r\n\r\n-0,0,ü\r\n";
    let transfers = "amount,id_source,bank_source,id_destination,bank_destination,note\n\
                     9223372036854775808,x,a,\"y, z\",a,\n9223372036854775808,x,a,\"y, z\",a,\n\
                     3,q,b,new,a,\"two\nlines\"\n0,q,b,new,a,\n1,x,a,q,b,\n";
    let directory = folder(accounts.as_bytes(), transfers.as_bytes());
    let network = read(directory.path()).unwrap();
    assert_eq!(network.columns(), ["risk_score", "name"]);
    assert_eq!(network.account_ids().collect::<Vec<_>>(), ["x", "y, z", "ü", "new"]);
    assert_eq!(network.listed_count(), 3);
    assert_eq!(network.initial_scores(), [0.5, 0.25, 0.001, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let incoming: Vec<_> =
        network.incoming(0, 1).map(|(bank, id, amount)| (bank.index(), id, amount)).collect();
    assert_eq!(incoming, [(0, "x", 1 << 64)]);
    let incoming: Vec<_> =
        network.incoming(0, 3).map(|(bank, id, amount)| (bank.index(), id, amount)).collect();
    assert_eq!(incoming, [(1, "q", 3)]);
}

#[test]
fn bad_accounts_are_named_by_line_and_column() {
    let head = "id,risk_score\n";
    let bad = |rows: &str| bad_account(&format!("{head}{rows}"));
    assert_eq!(bad("x,0.5\ny,1.5\n"), at(3, "risk_score", Problem::ScoreOutOfRange("1.5".into())));
    assert_eq!(bad("x,-0.1\n"), at(2, "risk_score", Problem::ScoreOutOfRange("-0.1".into())));
    assert_eq!(bad("x,inf\n"), at(2, "risk_score", Problem::ScoreOutOfRange("inf".into())));
    assert_eq!(bad("x,NaN\n"), at(2, "risk_score", Problem::NotANumber("NaN".into())));
    assert_eq!(bad("x,high\n"), at(2, "risk_score", Problem::NotANumber("high".into())));
    assert_eq!(bad("x,\n"), at(2, "risk_score", Problem::Empty));
    assert_eq!(bad(",0.5\n"), at(2, "id", Problem::Empty));
    assert_eq!(bad("x,0\ny,0\nx,0\n"), at(4, "id", Problem::RepeatedAccount("x".into())));
    assert_eq!(bad("x\n"), at(2, "risk_score", Problem::WrongFieldCount { found: 1, expected: 2 }));
    assert_eq!(bad("x,0,0\n"), at(2, "risk_score", Problem::WrongFieldCount { found: 3, expected: 2 }));
    let long = "x".repeat(256);
    assert_eq!(bad(&format!("{long},0\n")), at(2, "id", Problem::TooLong { bytes: 256, limit: 255 }));
    assert_eq!(bad_account("id,score\nx,0\n"), at(1, "risk_score", Problem::MissingColumn));
    assert_eq!(bad_account(""), at(1, "id", Problem::MissingColumn));
    assert_eq!(bad_account("id,risk_score,id\n"), at(1, "id", Problem::RepeatedColumn));
    let (_, line, column, problem) = refused(b"id,risk_score\nx,0\n\xff\xfe,0\n", HEADER.as_bytes());
    assert_eq!((line, column, problem), at(3, "id", Problem::InvalidUtf8));
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let line = |text: &str| bad_account(&format!("id,risk_score\n{text}")).0;
    assert_eq!(line("x,0\n\n\ny,2\nz,0\n"), 5);
    assert_eq!(line("x,0\n\n\ny,2"), 5);
    assert_eq!(line("x,0\r\n\r\ny,2\r\n"), 4);
    assert_eq!(line("\"x\"\"y, z\",0\ny,2\n"), 3);
    let transfers = format!(
        "{}{}",
        HEADER.replace("amount", "amount,note"),
        "\n\nx,a,y,b,1,\"two\nlines\"\nx,a,y,b,-1,\"two\nmore\"\n"
    );
    let (_, line, field, _) = refused(b"id,risk_score\n", transfers.as_bytes());
    assert_eq!((line, field.as_str()), (6, "amount"));
}

#[test]
fn a_quote_that_is_not_closed_does_not_swallow_the_file() {
    let rows = "x,a,y,b,1\n".repeat(400_000);
    let directory = folder(b"id,risk_score\n", format!("{HEADER}\"x,a,y,b,1\n{rows}").as_bytes());
    let message = read(directory.path()).unwrap_err().to_string();
    assert!(message.contains("transactions.csv: line 2") && message.contains("quote"), "{message}");
}

#[test]
fn what_would_not_print_as_what_it_is() {
    let bad = |text: &str| bad_account(&format!("id,risk_score\n{text}\n"));
    assert_eq!(bad("x\u{1b}[2J,0"), at(2, "id", Problem::ControlCharacter));
    assert_eq!(bad("\"x\ny\",0"), at(2, "id", Problem::ControlCharacter));
    assert_eq!(bad("x,\u{7}1"), at(2, "risk_score", Problem::NotANumber("\u{fffd}1".into())));
    for (header, column) in [("before", "before"), ("fraud,fraud_before", "fraud_before")] {
        let found = bad_account(&format!("id,risk_score,{header}\n"));
        assert_eq!(found, at(1, column, Problem::ReservedColumn));
    }
}

#[test]
fn bad_transfers_are_named_by_line_and_column() {
    assert_eq!(bad_transfer("x,a,y,b,-5"), at(3, "amount", Problem::NegativeAmount("-5".into())));
    assert_eq!(bad_transfer("x,a,y,b,5.25"), at(3, "amount", Problem::FractionalAmount("5.25".into())));
    assert_eq!(bad_transfer("x,a,y,b,1e3"), at(3, "amount", Problem::FractionalAmount("1e3".into())));
    assert_eq!(bad_transfer("x,a,y,b,5 EUR"), at(3, "amount", Problem::NotAnAmount("5 EUR".into())));
    assert_eq!(bad_transfer("x,a,y,b,+5"), at(3, "amount", Problem::NotAnAmount("+5".into())));
    assert_eq!(bad_transfer("x,a,y,b,NaN"), at(3, "amount", Problem::NotAnAmount("NaN".into())));
    assert_eq!(bad_transfer("x,a,y,b,"), at(3, "amount", Problem::Empty));
    let over = "9223372036854775809";
    assert_eq!(
        bad_transfer(&format!("x,a,y,b,{over}")),
        at(3, "amount", Problem::AmountTooLarge(over.into()))
    );
    let (_, _, problem) = bad_transfer(&format!("x,a,y,b,{}", "9".repeat(100)));
    assert!(matches!(problem, Problem::AmountTooLarge(text) if text.chars().count() == 41));
    assert_eq!(bad_transfer("x,c,y,a,1"), at(3, "bank_source", Problem::UnknownBank("c".into())));
    assert_eq!(bad_transfer("x,a,y,,1"), at(3, "bank_destination", Problem::Empty));
    assert_eq!(bad_transfer("x,b,y,b,1"), at(3, "bank_source", Problem::NotOurs("a".into())));
    assert_eq!(bad_transfer(" ,a,y,b,1"), at(3, "id_source", Problem::Empty));
    assert_eq!(bad_transfer("x,a,,b,1"), at(3, "id_destination", Problem::Empty));
    let row = bad_transfer("x,a,y,b");
    assert_eq!(row, at(3, "amount", Problem::WrongFieldCount { found: 4, expected: 5 }));
    let missing = refused(b"id,risk_score\n", b"id_source,bank_source,id_destination,amount\n");
    assert_eq!((missing.1, missing.2.as_str(), missing.3), (1, "bank_destination", Problem::MissingColumn));
    let bytes = [HEADER.as_bytes(), b"x,a,y\xc3,b,1\n"].concat();
    let (_, line, column, problem) = refused(b"id,risk_score\n", &bytes);
    assert_eq!((line, column, problem), at(2, "id_destination", Problem::InvalidUtf8));
}

#[test]
fn errors_can_be_read() {
    let directory = folder(b"id,risk_score\n", format!("{HEADER}x,a,y,b,-5\n").as_bytes());
    let message = read(directory.path()).unwrap_err().to_string();
    assert!(
        message.ends_with("transactions.csv: line 2, column `amount`: the amount -5 is negative"),
        "{message}"
    );
}

#[test]
fn periods() {
    let reason = |files: &[&str]| {
        let directory = folder(b"id,risk_score\n", b"");
        std::fs::remove_file(directory.path().join("a/transactions.csv")).unwrap();
        for file in files {
            std::fs::write(directory.path().join("a").join(file), format!("{HEADER}x,a,y,b,1\n")).unwrap();
        }
        read(directory.path()).map(|network| network.periods().len()).map_err(|error| match error {
            Error::Directory { reason, .. } => reason,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(reason(&[]), Ok(0));
    assert_eq!(reason(&["transactions.csv"]), Ok(1));
    let eleven: Vec<String> = (0..11).map(|n| format!("transactions-{n}.csv")).collect();
    assert_eq!(reason(&eleven.iter().map(String::as_str).collect::<Vec<_>>()), Ok(11));
    assert_eq!(reason(&["transactions-1.csv"]), Err("`transactions-0.csv` is missing".into()));
    let gap = reason(&["transactions-0.csv", "transactions-2.csv"]);
    assert_eq!(gap, Err("`transactions-1.csv` is missing".into()));
    assert!(reason(&["transactions-0.csv", "transactions.csv"]).unwrap_err().contains("both"));
    assert!(reason(&["transactions-00.csv"]).unwrap_err().contains("named"));
    assert!(reason(&["transactions-one.csv"]).unwrap_err().contains("named"));
    for name in ["Transactions.csv", "transactions.CSV", "TRANSACTIONS-0.csv"] {
        assert!(reason(&[name]).unwrap_err().contains("named"), "{name}");
    }
}

#[test]
fn folders() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(data::banks_in(empty.path()), Err(Error::Directory { .. })));
    assert!(matches!(data::banks_in(&empty.path().join("none")), Err(Error::Io { .. })));
    let directory = folder(b"id,risk_score\n", HEADER.as_bytes());
    std::fs::create_dir(directory.path().join("docs")).unwrap();
    let banks = data::banks_in(directory.path()).unwrap();
    assert_eq!(banks, Banks::new(["a", "b"]).unwrap());
    // A list of accounts is missing beside transfers.
    std::fs::remove_file(directory.path().join("a/accounts.csv")).unwrap();
    assert_eq!(data::banks_in(directory.path()).unwrap().len(), 2);
    assert!(
        matches!(read(directory.path()), Err(Error::Io { path, .. }) if path.ends_with("a/accounts.csv"))
    );
}

#[test]
fn scores_are_written_whole_or_not_at_all() {
    let directory = folder(b"id,risk_score,other\n\"x,1\",0.1,1\ny,0.25,0\n", HEADER.as_bytes());
    let network = read(directory.path()).unwrap();
    let file = directory.path().join("out.csv");
    data::write_scores(&file, &network, &[0.125, 0.5, 0.0, 1.0], 4).unwrap();
    let expected = "id,risk_score,before,other,other_before\n\
                    \"x,1\",0.1250,0.1,0.5000,1\ny,0.0000,0.25,1.0000,0\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    assert!(data::write_scores(&file, &network, &[0.5], 4).is_err());
    let failed = data::write_atomically(&file, |out| {
        std::io::Write::write_all(out, b"half")?;
        Err(std::io::Error::other("stop"))
    });
    assert!(matches!(failed, Err(Error::Io { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}
