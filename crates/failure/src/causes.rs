use std::error::Error;

/// Prints an error with its causes in one line, from the outermost to the innermost, with a colon between them.
///
/// The errors of this workspace name their cause in [`source`](Error::source) alone, and not in their text as well. A program that
/// shows one to people prints its causes too.
///
/// ```
/// use subrosa_failure::with_causes;
///
/// let error = std::io::Error::other("the disk is full");
/// assert_eq!(with_causes(&error), "the disk is full");
/// ```
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
