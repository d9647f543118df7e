use super::*;

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, RecordError> {
    let mut reader = Reader::new(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        entries.push(entry);
    }
    Ok(entries)
}

#[test]
fn a_record_goes_on_behind_its_last_whole_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    let mut record = Record::open(&path).unwrap();
    record.begin("p").unwrap();
    record.frame(Kind::Sent, PartyId::new(1), b"one").unwrap();
    assert!(matches!(Record::open(&path), Err(RecordError::Io(_))), "locked");
    let hash = record.hash();
    drop(record);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole[..17], *b"subrosaF\x01\0\0\xff\xff\x01\0\0\0");
    for torn in [&b"\x02\0"[..], b"\x02\0\0\x09\0\0\0torn"] {
        std::fs::write(&path, [&whole, torn].concat()).unwrap();
        assert!(matches!(entries(&std::fs::read(&path).unwrap()), Err(RecordError::Truncated { entry: 2 })));
        let mut record = Record::open(&path).unwrap();
        record.begin("q").unwrap();
        drop(record);
        let found = entries(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].hash(&found[0].hash(&[7; 32])), hash);
        assert_eq!((found[2].kind, &found[2].bytes[..]), (Kind::Begin, &b"q"[..]));
    }
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o600
    );
    std::fs::write(&path, b"something else").unwrap();
    assert!(matches!(Record::open(&path), Err(RecordError::NotARecord)));
}

#[test]
fn what_is_no_record_is_refused() {
    assert!(matches!(entries(b"subrosaF\x02\0"), Err(RecordError::Version { found: 2 })));
    assert!(matches!(entries(b"subrosaX\x01\0"), Err(RecordError::NotARecord)));
    assert!(matches!(entries(b"subrosaF\x01\0\x05\0\0\0\0\0\0"), Err(RecordError::Damaged { entry: 0 })));
    assert!(matches!(
        entries(b"subrosaF\x01\0\x01\0\0\xff\xff\xff\xff"),
        Err(RecordError::Damaged { entry: 0 })
    ));
    assert!(matches!(
        entries(b"subrosaF\x01\0\x01\0\0\xff\xff\0\0a"),
        Err(RecordError::Truncated { entry: 0 })
    ));
}
