//! What the model knows a server's tool by: the server's name, an underscore and the tool's own name, of no more than
//! Bedrock takes.

use sha2::{Digest as _, Sha256};

/// The longest name of a tool that Bedrock takes.
const LONGEST: usize = 64;

/// How many hexadecimal digits tell names apart that had to be changed.
const DIGITS: usize = 8;

/// The name: as it is where Bedrock takes it, else with what it does not take replaced and a digest of the whole at
/// the end, so that two tools never become one.
pub(crate) fn namespaced(server: &str, tool: &str) -> String {
    let whole = format!("{server}_{tool}");
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if whole.len() <= LONGEST && whole.chars().all(allowed) {
        return whole;
    }
    let fitting = whole.chars().map(|c| if allowed(c) { c } else { '_' }).take(LONGEST - DIGITS - 1);
    let digest = Sha256::digest(whole.as_bytes());
    let digits = digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}"));
    fitting.chain(['_']).chain(digits.collect::<String>().chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_fits_stays_as_it_is() {
        assert_eq!(namespaced("files", "read-file"), "files_read-file");
    }

    #[test]
    fn names_that_do_not_fit_are_changed_and_stay_apart() {
        let long = "x".repeat(80);
        let names = ["read.file", "read/file", "lire le fichier", &long, &format!("{long}y")]
            .map(|tool| namespaced("files", tool));
        for name in &names {
            assert!(
                name.len() <= LONGEST && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)),
                "{name}"
            );
        }
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert_eq!(names[0], namespaced("files", "read.file"), "the same each time");
    }
}
