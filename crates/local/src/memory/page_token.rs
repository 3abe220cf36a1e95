//! Where the next page begins. A token names the last item given, not a count, so what is written
//! between two pages neither repeats nor hides anything; and it names the list it belongs to, so that it
//! opens no other.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::constraints::Violations;
use crate::aws_error::AwsError;

/// The place after one page of one list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PageToken {
    list: Vec<String>,
    after: String,
}

// === impl PageToken ===

impl PageToken {
    /// The place in `list` after the item of that name, as callers get it: opaque.
    pub(super) fn encode(list: &[&str], after: &str) -> Result<String, serde_json::Error> {
        let token = Self { list: list.iter().map(|&part| part.to_owned()).collect(), after: after.to_owned() };
        Ok(hexadecimal(&serde_json::to_vec(&token)?))
    }

    /// The name of the last item given of `list`; nothing without a token.
    pub(super) fn decode(list: &[&str], token: Option<&str>) -> Result<Option<String>, AwsError> {
        let Some(token) = token else { return Ok(None) };
        let read = bytes(token).and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        match read {
            Some(read) if read.list == list => Ok(Some(read.after)),
            _ => {
                let mut violations = Violations::default();
                violations.add("nextToken", "Member must be a token that this list gave");
                violations.check().map(|()| None)
            }
        }
    }
}

/// Bytes as text that any URL, header or log takes.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::PageToken;

    #[test]
    fn a_token_opens_its_own_list_only() {
        let token = PageToken::encode(&["events", "m", "a", "s"], "007#ab").expect("strings are JSON");
        let own = PageToken::decode(&["events", "m", "a", "s"], Some(&token)).expect("its own list");
        assert_eq!(own.as_deref(), Some("007#ab"));
        for token in [token.as_str(), "", "zz", "7b7d", "€"] {
            assert!(PageToken::decode(&["events", "m", "a", "other"], Some(token)).is_err(), "{token}");
        }
    }
}
