//! Which sources are packaged, and the one date that everything made of them carries.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;

/// The oldest date a zip can hold, for sources without a commit.
const ZIPS_BEGIN: i64 = 315_532_800;

/// The variable of <https://reproducible-builds.org/specs/source-date-epoch/>.
pub(super) const DATE_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The date in the environment is none.
#[derive(Debug, thiserror::Error)]
#[error("{DATE_VARIABLE}={0} is not a date; it counts seconds since 1970, of a day from 1980 to 2107")]
pub(crate) struct DateError(String);

/// The sources' state.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    /// The commit, with `-dirty` where files differ from it.
    pub(super) revision: Option<String>,
    pub(super) date: Timestamp,
}

// === impl Commit ===

impl Commit {
    /// The commit that is checked out in `root`, dated by [`DATE_VARIABLE`] where that is set.
    pub(super) fn read(root: &Path) -> Result<Self, DateError> {
        let revision = git(root, &["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]);
        let date = match std::env::var(DATE_VARIABLE) {
            Ok(text) => text.parse().ok().and_then(date_of_a_zip).ok_or(DateError(text))?,
            Err(_) => committed(root).unwrap_or_default(),
        };
        Ok(Self { revision, date })
    }
}

fn committed(root: &Path) -> Option<Timestamp> {
    let seconds = git(root, &["log", "-1", "--format=%ct"]).and_then(|text| text.parse().ok());
    date_of_a_zip(seconds.unwrap_or(ZIPS_BEGIN))
}

/// Zips know the years from 1980 to 2107.
fn date_of_a_zip(seconds: i64) -> Option<Timestamp> {
    (ZIPS_BEGIN..4_354_819_200).contains(&seconds).then(|| Timestamp::from_second(seconds).ok())?
}

/// What git says of the sources; nothing where they are not in its keeping.
fn git(root: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(words).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}
