//! What a turn left behind, as tests ask for it.

use agentcore_core::history::{PausedTurn, TurnKept};
use agentcore_core::message::Message;
use agentcore_core::turn::{Step, TurnOutcome};

pub(crate) fn whole(outcome: &TurnOutcome) -> Option<&[Message]> {
    match outcome.keepsake.as_ref().map(|kept| &kept.turn) {
        Some(TurnKept::Whole(turn)) => Some(turn.messages()),
        _ => None,
    }
}

pub(crate) fn remembered(outcome: &TurnOutcome) -> &[Message] {
    whole(outcome).expect("a whole turn is remembered")
}

pub(crate) fn paused(outcome: &TurnOutcome) -> Option<&PausedTurn> {
    match outcome.keepsake.as_ref().map(|kept| &kept.turn) {
        Some(TurnKept::Paused(turn)) => Some(turn),
        _ => None,
    }
}

pub(crate) fn done(step: Step) -> TurnOutcome {
    match step {
        Step::Done(outcome) => outcome,
        other => panic!("the turn should be over, not {other:?}"),
    }
}
