//! Spans as they come become trees, one for each turn.
//!
//! An agent hands spans over when they end, children before their parent; so when the span of an invocation is here, its
//! tree is. What comes later, such as what is stored behind an answer, is told by itself. A span without a turn waits
//! for one, in bounded company: traces that never complete are forgotten, those first of which nothing was heard for
//! longest.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use agentcore_local::traces::{Span, SpanId, TraceId};
use agentcore_runtime::core::signal::{attribute, span};
use serde_json::Value;

use super::told::head_of;

/// How many spans are remembered, those told by their ids alone.
const MOST_SPANS: usize = 4096;

/// How many traces are.
const MOST_TRACES: usize = 256;

/// All traces of which something may still come.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// The one heard of last comes last.
    traces: VecDeque<Trace>,
}

/// Something to draw.
#[derive(Debug, PartialEq)]
pub(super) enum Grown {
    /// A turn.
    Tree {
        /// Whose turn it was, and the trace.
        heading: String,
        /// The span of the turn first, each span before its children, and those in the order they began.
        rows: Vec<Row>,
    },
    /// A span that came when its turn had been told.
    Late {
        /// Whose turn it belongs to.
        owner: Rc<str>,
        /// What came.
        span: Span,
    },
}

/// A span in its place.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// The lines that lead to it.
    pub(super) branches: String,
    /// What was done.
    pub(super) span: Span,
}

#[derive(Debug)]
struct Trace {
    id: TraceId,
    /// Spans that belong to no turn yet.
    waiting: Vec<Span>,
    /// Spans that have been told, and whose turn they belong to.
    told: HashMap<SpanId, Rc<str>>,
}

// === impl Trees ===

impl Trees {
    /// Takes spans, and gives what they complete.
    pub(super) fn take(&mut self, spans: &[Span]) -> Vec<Grown> {
        let mut concerned = HashSet::new();
        for span in spans {
            concerned.insert(span.trace);
            self.trace(span.trace).add(span);
        }
        let concerned = self.traces.iter_mut().filter(|trace| concerned.contains(&trace.id));
        let grown = concerned.flat_map(Trace::grow).collect();
        while self.is_full() {
            self.traces.pop_front();
        }
        grown
    }

    fn is_full(&self) -> bool {
        self.traces.len() > MOST_TRACES || self.traces.iter().map(Trace::size).sum::<usize>() > MOST_SPANS
    }

    fn trace(&mut self, id: TraceId) -> &mut Trace {
        let known = self.traces.iter().position(|trace| trace.id == id).and_then(|at| self.traces.remove(at));
        self.traces.push_back(known.unwrap_or_else(|| Trace { id, waiting: Vec::new(), told: HashMap::new() }));
        let last = self.traces.len() - 1;
        &mut self.traces[last]
    }
}

// === impl Trace ===

impl Trace {
    fn size(&self) -> usize {
        self.waiting.len() + self.told.len()
    }

    /// Adds a span, unless somebody who was not sure whether it arrived sent it again.
    fn add(&mut self, span: &Span) {
        if !self.told.contains_key(&span.id) && self.waiting.iter().all(|other| other.id != span.id) {
            self.waiting.push(span.clone());
        }
    }

    fn grow(&mut self) -> Vec<Grown> {
        let mut grown = Vec::new();
        while let Some(root) = self.root() {
            grown.push(self.tree(root));
        }
        while let Some((owner, span)) = self.late() {
            self.told.insert(span.id, Rc::clone(&owner));
            grown.push(Grown::Late { owner, span });
        }
        grown
    }

    /// The span of a turn that is a part of nothing that waits here.
    fn root(&mut self) -> Option<Span> {
        let waits = |id: SpanId| self.waiting.iter().any(|span| span.id == id);
        let at = self.waiting.iter().position(|span| is_turn(span) && !span.parent.is_some_and(waits))?;
        Some(self.waiting.remove(at))
    }

    /// Takes everything below the root, and the root, out of what waits.
    fn tree(&mut self, root: Span) -> Grown {
        let owner: Rc<str> = owner(&root).into();
        let heading = format!("{owner}  trace {:032x}", u128::from_be_bytes(self.id));
        let mut below: BTreeMap<SpanId, Vec<Span>> = BTreeMap::new();
        for span in std::mem::take(&mut self.waiting) {
            below.entry(span.parent.unwrap_or_default()).or_default().push(span);
        }
        let (mut rows, mut next) = (Vec::new(), vec![(String::new(), String::new(), root)]);
        while let Some((branches, stem, span)) = next.pop() {
            let mut children = below.remove(&span.id).unwrap_or_default();
            // The last goes on the pile first, and comes off last.
            children.sort_by_key(|child| std::cmp::Reverse((child.began, child.id)));
            for (from_last, child) in children.into_iter().enumerate() {
                let (branch, beside) = if from_last == 0 { ("└ ", "  ") } else { ("├ ", "│ ") };
                next.push((format!("{stem}{branch}"), format!("{stem}{beside}"), child));
            }
            self.told.insert(span.id, Rc::clone(&owner));
            rows.push(Row { branches, span });
        }
        self.waiting = below.into_values().flatten().collect();
        Grown::Tree { heading, rows }
    }

    fn late(&mut self) -> Option<(Rc<str>, Span)> {
        let of_told = |span: &Span| span.parent.and_then(|parent| self.told.get(&parent)).cloned();
        let (at, owner) = self.waiting.iter().enumerate().find_map(|(at, span)| Some((at, of_told(span)?)))?;
        Some((owner, self.waiting.remove(at)))
    }
}

fn is_turn(span: &Span) -> bool {
    span.name.split(' ').next() == Some(span::INVOKE_AGENT)
}

/// The agent and the session of a turn, as every line begins with them.
fn owner(root: &Span) -> String {
    let said = |name| root.attribute(name).and_then(Value::as_str);
    let named = root.name.split_once(' ').map_or("an agent", |(_, agent)| agent);
    let session = said(attribute::SESSION).or_else(|| said(attribute::CONVERSATION));
    head_of(said(attribute::AGENT).unwrap_or(named), session.unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A span of one trace: `(id, parent, name, from and to in milliseconds)`.
    pub(in crate::dev) fn span(id: u8, parent: u8, name: &str, time: (u64, u64), attributes: &[(&str, Value)]) -> Span {
        Span {
            trace: [7; 16],
            id: [id; 8],
            parent: (parent > 0).then_some([parent; 8]),
            name: name.to_owned(),
            began: 1_795_406_111_000_000_000 + time.0 * 1_000_000,
            ended: 1_795_406_111_000_000_000 + time.1 * 1_000_000,
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            failure: None,
        }
    }

    fn turn() -> Vec<Span> {
        let session = ("session.id", Value::from("4f0c-and-more"));
        vec![
            span(2, 1, "read_memory", (0, 1), &[]),
            span(4, 3, "execute_tool look_up_food", (12, 20), &[]),
            span(3, 1, "chat claude", (1, 30), &[]),
            span(5, 1, "write_memory", (30, 31), &[]),
            // The caller's span is nobody's here.
            span(1, 99, "invoke_agent coach_companion", (0, 31), &[session]),
        ]
    }

    fn outline(grown: &[Grown]) -> String {
        let lines = grown.iter().map(|grown| match grown {
            Grown::Tree { heading, rows } => {
                let rows = rows.iter().map(|row| format!("\n{}{}", row.branches, row.span.name));
                format!("{heading}{}", rows.collect::<String>())
            }
            Grown::Late { owner, span } => format!("{owner}  later {}", span.name),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_turn_is_a_tree_when_its_own_span_has_come() {
        let mut trees = Trees::default();
        let spans = turn();
        assert_eq!(trees.take(&spans[..4]), []);
        insta::assert_snapshot!(outline(&trees.take(&spans[4..])), @"
        coach_companion  4f0c…  trace 07070707070707070707070707070707
        invoke_agent coach_companion
        ├ read_memory
        ├ chat claude
        │ └ execute_tool look_up_food
        └ write_memory
        ");
    }

    #[test]
    fn what_comes_later_is_told_by_itself_and_nothing_twice() {
        let mut trees = Trees::default();
        trees.take(&turn());
        assert_eq!(trees.take(&turn()), [], "all of it is known");
        let late = [span(8, 7, "execute_tool b", (40, 41), &[]), span(7, 1, "chat summary", (35, 50), &[])];
        assert_eq!(trees.take(&late[..1]), [], "whose it is, is not known");
        insta::assert_snapshot!(outline(&trees.take(&late[1..])), @"
        coach_companion  4f0c…  later chat summary
        coach_companion  4f0c…  later execute_tool b
        ");
    }

    #[test]
    fn an_agent_that_an_agent_called_is_a_part_of_its_turn_where_both_are_known() {
        let called = [span(6, 4, "invoke_agent haiku", (13, 19), &[]), span(9, 6, "chat claude", (14, 18), &[])];
        let mut trees = Trees::default();
        insta::assert_snapshot!(outline(&trees.take(&[turn(), called.to_vec()].concat())), @"
        coach_companion  4f0c…  trace 07070707070707070707070707070707
        invoke_agent coach_companion
        ├ read_memory
        ├ chat claude
        │ └ execute_tool look_up_food
        │   └ invoke_agent haiku
        │     └ chat claude
        └ write_memory
        ");
        let mut trees = Trees::default();
        let one_after_the_other = [trees.take(&called), trees.take(&turn())].map(|grown| outline(&grown)).join("\n");
        insta::assert_snapshot!(one_after_the_other, @"
        haiku  …  trace 07070707070707070707070707070707
        invoke_agent haiku
        └ chat claude
        coach_companion  4f0c…  trace 07070707070707070707070707070707
        invoke_agent coach_companion
        ├ read_memory
        ├ chat claude
        │ └ execute_tool look_up_food
        └ write_memory
        ");
    }

    #[test]
    fn what_never_completes_is_forgotten() {
        let mut trees = Trees::default();
        for number in 0..3 * MOST_TRACES as u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            trees.take(&[Span { trace: id, ..span(2, 1, "chat claude", (0, 1), &[]) }]);
        }
        assert_eq!(trees.traces.len(), MOST_TRACES);
        assert_eq!(trees.take(&turn()).len(), 1, "and others are told as ever");
    }

    #[test]
    fn a_trace_that_outgrows_everything_is_forgotten_too() {
        let mut trees = Trees::default();
        let of_one_trace = (0..=MOST_SPANS as u64).map(|number| {
            let id = number.to_be_bytes();
            Span { id, parent: Some([255; 8]), ..span(2, 1, "chat claude", (0, 1), &[]) }
        });
        trees.take(&of_one_trace.collect::<Vec<_>>());
        assert_eq!(trees.traces.len(), 0);
    }

    proptest! {
        #[test]
        fn every_span_is_told_once_in_whatever_order_and_pieces_it_comes(
            spans in Just(turn()).prop_shuffle(),
            cut in 0..=5_usize,
        ) {
            let mut trees = Trees::default();
            let grown = [trees.take(&spans[..cut]), trees.take(&spans[cut..])].into_iter().flatten();
            let told = grown.flat_map(|grown| match grown {
                Grown::Tree { rows, .. } => rows.into_iter().map(|row| row.span).collect(),
                Grown::Late { span, .. } => vec![span],
            });
            let mut told: Vec<u8> = told.map(|span| span.id[0]).collect();
            told.sort_unstable();
            prop_assert_eq!(told, [1, 2, 3, 4, 5]);
        }
    }
}
