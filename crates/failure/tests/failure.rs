//! The gravest of several kinds, and errors printed with their causes.

use std::error::Error;
use std::fmt;

use subrosa_failure::{FailureKind, with_causes};

#[derive(Debug)]
struct Stage(&'static str, Option<Box<Stage>>);

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Stage {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

#[test]
fn causes_follow_from_the_outermost_to_the_innermost() {
    let disk = Stage("the disk is full", None);
    let file = Stage("the file cannot be written", Some(Box::new(disk)));
    let key = Stage("the key was not stored", Some(Box::new(file)));
    assert_eq!(with_causes(&key), "the key was not stored: the file cannot be written: the disk is full");
}

#[test]
fn the_gravest_kind_does_not_depend_on_the_order() {
    let from_gravest = [
        FailureKind::Internal,
        FailureKind::Misuse,
        FailureKind::Input,
        FailureKind::Peer,
        FailureKind::Limits,
        FailureKind::Disagreement,
        FailureKind::Abort,
        FailureKind::Network,
    ];
    for (place, &kind) in from_gravest.iter().enumerate() {
        assert_eq!(FailureKind::gravest(from_gravest[place..].iter().copied()), Some(kind));
        assert_eq!(FailureKind::gravest(from_gravest[place..].iter().rev().copied()), Some(kind));
    }
    assert_eq!(FailureKind::gravest([]), None);
}
