//! Names for tools that a model may use, made of names that servers give.
//!
//! A name is `{namespace}__{tool}`. A namespace has no `__` in it and no `_` at its end, so the first `__`
//! says whose tool it is and two servers never share a name. A tool whose own name Bedrock would refuse
//! gets one made of what fits and a digest of the whole, which does not depend on the other tools.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

/// The longest name of a tool, in characters. Source: Converse's reference.
const LONGEST_NAME: usize = 64;

/// The longest namespace: two thirds of a name are left for the tool.
const LONGEST_NAMESPACE: usize = 24;

/// Hexadecimal digits of a digest at the end of a name. More are taken only if these are taken.
const DIGEST_DIGITS: [usize; 3] = [8, 16, 32];

/// What the names of a server's tools begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace(String);

// === impl Namespace ===

impl Namespace {
    /// The namespace of that name, where it is one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let fits = (1..=LONGEST_NAMESPACE).contains(&name.len())
            && name.chars().all(is_allowed)
            && !name.contains("__")
            && !name.ends_with('_');
        fits.then(|| Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A name for each of a server's tools, in their order; none for a name that came before.
    pub(crate) fn names<'a>(&self, tools: impl Iterator<Item = &'a str>) -> Vec<Option<String>> {
        let tools: Vec<&str> = tools.collect();
        // Names that can stay as they are come first: they must not depend on a neighbour's digest.
        let mut taken: HashSet<String> = tools.iter().filter_map(|tool| self.as_it_is(tool)).collect();
        let mut seen = HashSet::new();
        let mut name = |tool: &'a str| {
            if !seen.insert(tool) {
                return None;
            }
            self.as_it_is(tool).or_else(|| {
                let mut made = DIGEST_DIGITS.iter().map(|digits| self.with_digest(tool, *digits));
                made.find(|name| taken.insert(name.clone()))
            })
        };
        tools.iter().map(|tool| name(tool)).collect()
    }

    fn as_it_is(&self, tool: &str) -> Option<String> {
        let fits = !tool.is_empty() && tool.chars().all(is_allowed);
        let name = format!("{}__{tool}", self.0);
        (fits && name.len() <= LONGEST_NAME).then_some(name)
    }

    fn with_digest(&self, tool: &str, digits: usize) -> String {
        let digest = Sha256::digest(tool.as_bytes());
        let digest: String = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(digits).map(digit).collect();
        let fitting = tool.chars().map(|c| if is_allowed(c) { c } else { '_' });
        let room = LONGEST_NAME - self.0.len() - "__".len() - "_".len() - digits;
        let kept: String = fitting.take(room).collect();
        format!("{}__{kept}_{digest}", self.0)
    }
}

/// What Bedrock allows in a tool's name.
fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(tools: &[&str]) -> Vec<Option<String>> {
        Namespace::parse("files").expect("a namespace").names(tools.iter().copied())
    }

    #[test]
    fn a_name_that_fits_stays() {
        insta::assert_debug_snapshot!(names(&["read_file", "a-b"]), @r#"
        [
            Some(
                "files__read_file",
            ),
            Some(
                "files__a-b",
            ),
        ]
        "#);
    }

    #[test]
    fn a_name_that_does_not_fit_is_made_to_and_keeps_a_digest_of_itself() {
        insta::assert_debug_snapshot!(names(&["admin.tools.list", "ä", "", &"x".repeat(80)]), @r#"
        [
            Some(
                "files__admin_tools_list_ce33de31",
            ),
            Some(
                "files____33e6d73f",
            ),
            Some(
                "files___e3b0c442",
            ),
            Some(
                "files__xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_d929cdee",
            ),
        ]
        "#);
    }

    #[test]
    fn a_name_does_not_depend_on_its_neighbours_and_none_comes_twice() {
        let made = names(&["a.b"])[0].clone().expect("a name");
        let squatter = made.strip_prefix("files__").expect("the namespace");

        let both = names(&["a.b", squatter, "a.b"]);

        assert_eq!(both[1].as_deref(), Some(made.as_str()), "a name that fits stays");
        assert!(both[0].as_deref().is_some_and(|name| name != made && name.starts_with("files__a_b_")));
        assert_eq!(both[2], None);
    }

    #[test]
    fn a_namespace_cannot_be_mistaken_for_part_of_a_tools_name() {
        for refused in ["", "a__b", "a_", "a b", "é", &"a".repeat(25)] {
            assert_eq!(Namespace::parse(refused), None, "{refused}");
        }
        for taken in ["a", "a_b", "_a", "a-b", &"a".repeat(24)] {
            assert!(Namespace::parse(taken).is_some(), "{taken}");
        }
    }

    proptest! {
        #[test]
        fn names_fit_bedrock_and_are_told_apart(
            namespace in "[a-z][a-zA-Z0-9-]{0,23}",
            tools in proptest::collection::hash_set(".{0,80}", 0..20),
        ) {
            let namespace = Namespace::parse(&namespace).expect("a namespace");
            let names = namespace.names(tools.iter().map(String::as_str));
            let names: Vec<_> = names.into_iter().map(|name| name.expect("each is given once")).collect();
            for name in &names {
                prop_assert!((1..=64).contains(&name.len()) && name.chars().all(is_allowed), "{}", name);
            }
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        }
    }
}
