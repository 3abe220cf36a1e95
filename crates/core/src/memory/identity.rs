//! Whose session it is, in ids that every store takes.
//!
//! AgentCore Memory allows fewer characters and shorter ids than AgentCore Runtime. An id that fits is
//! used as it is, so that an operator finds it; any other is replaced by a digest of it. Ids that look
//! like such a digest are replaced as well, so two different ids can never meet.

use sha2::{Digest as _, Sha256};

/// What every replaced id begins with.
const REPLACED: &str = "sha256-";

/// What the actor of a session begins with when nobody is named; no other actor's id begins so.
const NOBODY: &str = "session/";

/// What the session id of a note begins with.
const NOTE: &str = "note-";

/// The longest session id that AgentCore Memory takes.
const LONGEST_SESSION_ID: usize = 100;

/// The longest actor id that AgentCore Memory takes.
const LONGEST_ACTOR_ID: usize = 255;

/// One actor's session. Two actors that name the same session id do not share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    actor: String,
    session: String,
}

// === impl SessionKey ===

impl SessionKey {
    /// The session `session_id` of `actor_id`, or of nobody in particular: then the actor is the
    /// session itself, the same at every call.
    pub fn new(actor_id: Option<&str>, session_id: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let session = fitting(session_id, LONGEST_SESSION_ID, plain);
        let actor = match actor_id {
            Some(actor) if actor.starts_with(NOBODY) => digest(actor),
            Some(actor) => fitting(actor, LONGEST_ACTOR_ID, |c| plain(c) || c == '/'),
            None => format!("{NOBODY}{session}"),
        };
        Self { actor, session }
    }

    /// Where the note `name` of that actor is kept, or of nobody in particular.
    pub fn of_note(actor_id: Option<&str>, name: &str) -> Self {
        Self::new(actor_id, &format!("{NOTE}{name}"))
    }

    /// The actor: 1–255 of `[a-zA-Z0-9-_/]`, beginning with a letter or digit.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The session: 1–100 of `[a-zA-Z0-9-_]`, beginning with a letter or digit.
    pub fn session(&self) -> &str {
        &self.session
    }
}

/// The id itself where the memory takes it, else its digest.
fn fitting(id: &str, longest: usize, allowed: impl Fn(char) -> bool) -> String {
    let fits = id.len() <= longest
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(allowed)
        && !id.starts_with(REPLACED);
    if fits { id.to_owned() } else { digest(id) }
}

fn digest(id: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(id.as_bytes()).iter().fold(REPLACED.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
