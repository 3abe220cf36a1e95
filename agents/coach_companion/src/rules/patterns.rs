//! Reading patterns: what a line of a rule's data may stand for.
//!
//! This happens when the first message is read, so what many patterns have in common (`<they>`, `(am|im)`) is read once,
//! and a set of words is a number from then on.

use std::rc::Rc;

use foldhash::HashMap;

use super::vocabulary::{Classes, NUMBER};
use crate::sentinel::text::Text;

/// How many words `~` stands for at the most.
const GAP: u8 = 3;

/// One place of a pattern: a set of words after a gap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<W> {
    pub(super) gap: u8,
    pub(super) words: W,
}

/// Places in a row.
type Row<W> = Vec<Step<W>>;

/// The patterns of a file, which share its lists.
pub(super) struct Patterns<'a> {
    lists: &'a Lists,
    /// What may stand in a part that was read before.
    known: HashMap<String, Rc<[Row<u16>]>>,
}

/// Words by the name that patterns call them.
type Lists = HashMap<String, Vec<String>>;

// === impl Patterns ===

impl<'a> Patterns<'a> {
    pub(super) fn with(lists: &'a Lists) -> Self {
        Self { lists, known: HashMap::default() }
    }

    /// The rows of steps that a pattern stands for, each step with the number of its words.
    pub(super) fn rows(&mut self, pattern: &str, classes: &mut Classes) -> Result<Vec<Row<u16>>, String> {
        rows(pattern, |part| {
            if let Some(known) = self.known.get(part) {
                return Ok(Rc::clone(known));
            }
            let mut numbered = |step: Step<Vec<String>>| Ok(Step { gap: step.gap, words: classes.of(&step.words)? });
            let choices = choices(part, self.lists)?;
            let choices: Rc<[Row<u16>]> = choices
                .into_iter()
                .map(|row| row.into_iter().map(&mut numbered).collect::<Result<_, String>>())
                .collect::<Result<_, String>>()?;
            self.known.insert(part.to_owned(), Rc::clone(&choices));
            Ok(choices)
        })
    }
}

/// The rows of steps that a pattern stands for: one, or more where phrases of several words are alternatives.
fn rows<W: Clone>(
    pattern: &str,
    mut choices: impl FnMut(&str) -> Result<Rc<[Row<W>]>, String>,
) -> Result<Vec<Row<W>>, String> {
    let mut rows: Vec<Row<W>> = vec![Vec::new()];
    let mut gap = 0;
    for part in parts(pattern)? {
        if let Some(words) = part.strip_prefix('~') {
            gap = if words.is_empty() { GAP } else { words.parse().map_err(|_| "`~` is followed by no number")? };
            continue;
        }
        let (part, optional) = part.strip_suffix('?').map_or((part.as_str(), false), |part| (part, true));
        let choices = choices(part)?;
        let mut longer = Vec::with_capacity(rows.len() * (choices.len() + usize::from(optional)));
        for row in rows {
            if optional {
                longer.push(row.clone());
            }
            for choice in &*choices {
                let mut row = row.clone();
                for (place, step) in choice.iter().enumerate() {
                    let gap = if place == 0 && !row.is_empty() { gap } else { step.gap };
                    row.push(Step { gap, words: step.words.clone() });
                }
                longer.push(row);
            }
        }
        (rows, gap) = (longer, 0);
    }
    rows.retain(|row| !row.is_empty());
    if rows.is_empty() { Err("it says nothing".to_owned()) } else { Ok(rows) }
}

/// The parts of a pattern: words, groups in parentheses, gaps.
fn parts(pattern: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut depth = 0_u32;
    for c in pattern.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a parenthesis closes that was not opened")?,
            ' ' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    if depth > 0 {
        return Err("a parenthesis is not closed".to_owned());
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

/// What may stand in one part: rows of steps. Single words are one step together.
fn choices(part: &str, lists: &Lists) -> Result<Vec<Row<Vec<String>>>, String> {
    let listed = part.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
    let phrases = match (listed, part.strip_prefix('(').and_then(|group| group.strip_suffix(')'))) {
        (Some(name), _) => lists.get(name).ok_or_else(|| format!("there is no list <{name}>"))?,
        (_, Some(group)) => &alternatives(group),
        _ => {
            let words = read(part).into_iter().map(|word| Step { gap: 0, words: vec![word] }).collect::<Vec<_>>();
            return if words.is_empty() { Err(format!("{part:?} is no word")) } else { Ok(vec![words]) };
        }
    };
    let mut single = Vec::new();
    let mut together = Vec::new();
    for phrase in phrases {
        for mut row in rows(phrase, |part| choices(part, lists).map(Rc::from))? {
            match row.as_mut_slice() {
                [step] => single.append(&mut step.words),
                _ => together.push(row),
            }
        }
    }
    if !single.is_empty() {
        together.push(vec![Step { gap: 0, words: single }]);
    }
    Ok(together)
}

/// The alternatives of a group: what stands between its own `|`, not those of a group within it.
fn alternatives(group: &str) -> Vec<String> {
    let mut alternatives = vec![String::new()];
    let mut depth = 0_u32;
    for c in group.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                alternatives.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = alternatives.last_mut() {
            last.push(c);
        }
    }
    alternatives
}

/// The words of a phrase as a message's would be read; a word that ends in `*` stays the beginning it is.
fn read(phrase: &str) -> Vec<String> {
    let words = phrase.split(' ').filter(|word| !word.is_empty()).map(|word| match word.strip_suffix('*') {
        Some(_) => vec![word.to_lowercase()],
        None if word == NUMBER => vec![word.to_owned()],
        None => Text::of(word).words().map(str::to_owned).collect(),
    });
    words.collect::<Vec<_>>().concat()
}
