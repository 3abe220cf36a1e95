//! What a user says and what a model answers, before the sentinel. An answer that comes in pieces, wherever it is cut,
//! leaves as the whole of it would, and is flagged for the same; and nothing of it is held back for ever. The parts of
//! an input stand between lines `---`: the answer last, the message before it, and before that what was said earlier,
//! the user first.

use std::sync::Arc;

use agentcore_runtime::core::guard::outgoing::Outgoing;
use agentcore_runtime::core::guard::{Guard, Heard, Safety, Verdict};
use agentcore_runtime::core::history::complete;
use agentcore_runtime::core::message::{ContentBlock, Message, StopReason, Usage};
use agentcore_runtime::core::model::{BlockDelta, ModelAnswer, ModelEvent};
use coach_companion::payload::{OPENING, UserContext};
use coach_companion::sentinel::Sentinel;
use coach_companion::sentinel::goals::Person;
use coach_companion::sentinel::reading::{find, find_in};
use coach_companion::sentinel::text::Text;

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts: Vec<&str> = text.split("\n---\n").collect();
    let answer = parts.pop().unwrap_or_default();
    let message = parts.pop().unwrap_or_default();
    let sentinel = Sentinel::for_user(&UserContext::default());
    let found = heard(&sentinel, &parts, message);
    let guards: [Arc<dyn Guard>; 1] = [Arc::new(sentinel)];
    let (whole, whole_safety, was_replaced) = reviewed_whole(&guards, found.clone(), answer);
    let (pieces, pieces_safety, is_replaced) = reviewed_in_pieces(&guards, found, answer, seed(bytes));
    assert_eq!(pieces, whole, "what leaves hangs on where it was cut");
    assert_eq!((pieces_safety, is_replaced), (whole_safety, was_replaced), "so does what was found");
}

/// What the sentinel finds in a message, twice the same.
fn heard(sentinel: &Sentinel, earlier: &[&str], message: &str) -> Safety {
    let turns = earlier.iter().enumerate().map(|(place, said)| match place % 2 {
        0 => Message::user(*said),
        _ => Message::assistant(*said),
    });
    let history: Vec<_> = complete(turns).into_iter().map(Arc::new).collect();
    let heard = Heard { text: message, history: &history };
    let verdict = sentinel.inspect(&heard);
    let (person, read) = (Person::default(), Text::of(message));
    let found = if message == OPENING { Vec::new() } else { find(&read, &person) };
    assert_eq!(found, find_in(message, &person), "the same is found again, and when it is remembered");
    let keeps = sentinel.keeps(&heard, &verdict);
    if let Verdict::Answer { text, flags } = &verdict {
        assert!(!text.trim().is_empty() && !flags.is_empty(), "an answer has words and a reason");
        assert!(keeps || flags.iter().all(|flag| flag.severity < agentcore_runtime::core::guard::Severity::Crisis));
    }
    Safety {
        severity: verdict.flags().iter().map(|flag| flag.severity).max().unwrap_or_default(),
        flags: verdict.flags().to_vec(),
        ..Safety::default()
    }
}

fn reviewed_whole(guards: &[Arc<dyn Guard>], found: Safety, answer: &str) -> (String, Safety, bool) {
    let mut outgoing = Outgoing::new(guards, found);
    let whole = outgoing.whole(ModelAnswer {
        message: Message::assistant(answer),
        stop_reason: StopReason::EndTurn,
        usage: Usage::default(),
        guardrail: None,
        served: None,
    });
    let text = whole.message.content.iter().filter_map(ContentBlock::as_text).collect();
    let replaced = outgoing.is_replaced();
    (text, outgoing.safety(), replaced)
}

fn reviewed_in_pieces(guards: &[Arc<dyn Guard>], found: Safety, answer: &str, mut seed: u64) -> (String, Safety, bool) {
    let mut outgoing = Outgoing::new(guards, found);
    let (mut left, mut given, mut rest) = (String::new(), 0, answer);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cut(rest, &mut seed));
        rest = after;
        given += piece.len();
        let delta = BlockDelta::Text(piece.to_owned());
        left += &told(&outgoing.take(ModelEvent::ContentBlockDelta { content_block_index: 0, delta }));
        assert!(outgoing.is_replaced() || given <= left.len() + 4_096, "{} of {given} bytes have left", left.len());
    }
    left += &told(&outgoing.take(ModelEvent::ContentBlockStop { content_block_index: 0 }));
    let replaced = outgoing.is_replaced();
    (left, outgoing.safety(), replaced)
}

fn told(events: &[ModelEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Where the next piece ends: after 1 to 16 bytes, at a character's end.
fn cut(rest: &str, seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let wanted = usize::try_from(*seed >> 60).unwrap_or_default() + 1;
    (wanted..rest.len()).find(|place| rest.is_char_boundary(*place)).unwrap_or(rest.len())
}

/// The same for the same input, and another for another.
fn seed(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}
