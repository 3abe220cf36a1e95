//! All patterns of a set as one tree of words, and the one walk of a text through it.

use std::ops::Range;

use super::denial::DENIALS;
use super::patterns::Step;
use super::vocabulary::{Classes, Meaning, Present, Vocabulary};
use super::voids::Where;
use crate::sentinel::text::Text;

/// The tree, the edges and ends of each place among those of all others: what a walk touches is close together.
#[derive(Debug)]
pub(super) struct Tree {
    vocabulary: Vocabulary,
    /// The places that patterns go on from. All others have greater numbers.
    crossings: Vec<Crossing>,
    /// The class of each edge's word.
    edge_classes: Vec<u16>,
    edges: Vec<Edge>,
    /// Where among the ends those of each place begin, and after the last place how many there are.
    ends_from: Vec<u32>,
    ends: Vec<End>,
}

/// The tree while patterns are added to it.
#[derive(Debug, Default)]
pub(super) struct Growing {
    pub(super) classes: Classes,
    /// Where patterns begin, by the class of their first word.
    roots: Vec<Option<u32>>,
    nodes: Vec<Node>,
}

/// What a walk meets: rules, and the words that speak for or against each.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) found: Vec<(u32, Range<usize>)>,
    pub(super) unless: Vec<(u32, Where, Range<usize>)>,
}

/// What it means that a pattern's last word is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Means(u32),
    Unless(u32, Where),
}

#[derive(Debug, Default)]
struct Node {
    edges: Vec<(u16, Edge)>,
    ends: Vec<End>,
}

/// Goes from one place to another over one word.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// How many words may stand in between.
    gap: u8,
    to: u32,
}

/// A place that patterns go on from.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    /// Where its edges begin among all, and where they end.
    first: u32,
    last: u32,
    /// The longest gap of them.
    patience: u8,
}

/// A crossing that the words so far lead to.
#[derive(Clone, Copy)]
struct Active {
    crossing: Crossing,
    /// How many words ago.
    age: u8,
    /// The first of the words.
    start: u32,
}

/// A walk under way.
struct Walk<'a> {
    tree: &'a Tree,
    active: Vec<Active>,
    next: Vec<Active>,
    /// The newest word that led to each crossing, counted from 1.
    reached: Vec<u32>,
    walked: Walked,
}

// === impl Tree ===

impl Tree {
    /// Everything the patterns match, and everything that voids a rule.
    pub(super) fn walk(&self, text: &Text) -> Walked {
        let mut walk = Walk {
            tree: self,
            active: Vec::new(),
            next: Vec::new(),
            reached: vec![0; self.crossings.len()],
            walked: Walked::default(),
        };
        let (mut present, mut unnamed) = (Present::none(), Meaning::default());
        for ((place, word), number) in text.words().enumerate().zip(0..) {
            let meaning = self.vocabulary.meaning(word, &mut unnamed);
            present.add(&meaning.classes);
            walk.step(number, meaning, &present, DENIALS.contains(&word));
            present.remove(&meaning.classes);
            if text.is_end(place) {
                walk.active.clear();
            }
        }
        walk.walked
    }

    /// What ends at a place.
    fn ends_at(&self, place: u32) -> &[End] {
        let place = place as usize;
        &self.ends[self.ends_from[place] as usize..self.ends_from[place + 1] as usize]
    }
}

// === impl Walk ===

impl Walk<'_> {
    /// Goes over a word: on from where the words before it led, and in from the root.
    fn step(&mut self, word: u32, Meaning { classes, roots }: &Meaning, present: &Present, is_denial: bool) {
        let mut active = std::mem::take(&mut self.active);
        for from in active.drain(..) {
            if !classes.is_empty() {
                self.go_on(from, present, word);
            }
            // What is denied in between is not what the pattern says.
            if from.age < from.crossing.patience && !is_denial {
                self.next.push(Active { age: from.age + 1, ..from });
            }
        }
        for root in roots {
            self.walked.meet(self.tree.ends_at(*root), word..word + 1);
            if let Some(crossing) = self.tree.crossings.get(*root as usize) {
                self.next.push(Active { crossing: *crossing, age: 0, start: word });
            }
        }
        self.active = std::mem::replace(&mut self.next, active);
    }

    fn go_on(&mut self, from: Active, present: &Present, word: u32) {
        let tree = self.tree;
        let Crossing { first, last, .. } = from.crossing;
        for (class, edge) in tree.edge_classes[first as usize..last as usize].iter().zip(first..) {
            if present.has(*class) {
                self.cross(tree.edges[edge as usize], from, word);
            }
        }
    }

    /// Goes over an edge whose word is met. Apart, because it is rare, so that looking for it is a few instructions.
    #[inline(never)]
    fn cross(&mut self, Edge { gap, to }: Edge, from: Active, word: u32) {
        if from.age > gap {
            return;
        }
        let tree = self.tree;
        self.walked.meet(tree.ends_at(to), from.start..word + 1);
        // The same crossing may have been reached from an older and from a newer word.
        if let (Some(newest), Some(crossing)) = (self.reached.get_mut(to as usize), tree.crossings.get(to as usize))
            && *newest != word + 1
        {
            *newest = word + 1;
            self.next.push(Active { crossing: *crossing, age: 0, start: from.start });
        }
    }
}

// === impl Walked ===

impl Walked {
    /// Notes what ends where these words lead to.
    fn meet(&mut self, ends: &[End], words: Range<u32>) {
        let words = || words.start as usize..words.end as usize;
        for end in ends {
            match end {
                End::Means(rule) => self.found.push((*rule, words())),
                End::Unless(rule, place) => self.unless.push((*rule, *place, words())),
            }
        }
    }
}

// === impl Growing ===

impl Growing {
    /// Adds a pattern, and what its end means.
    pub(super) fn insert(&mut self, steps: &[Step<u16>], end: End) {
        let mut at: Option<u32> = None;
        for Step { gap, words: class } in steps {
            at = Some(match at {
                None => self.root(*class),
                Some(node) => self.child(node, *class, *gap),
            });
        }
        if let Some(node) = at
            && !self.nodes[node as usize].ends.contains(&end)
        {
            self.nodes[node as usize].ends.push(end);
        }
    }

    fn root(&mut self, class: u16) -> u32 {
        let class = usize::from(class);
        if self.roots.len() <= class {
            self.roots.resize(class + 1, None);
        }
        if let Some(node) = self.roots[class] {
            return node;
        }
        let node = self.node();
        self.roots[class] = Some(node);
        node
    }

    fn child(&mut self, node: u32, class: u16, gap: u8) -> u32 {
        let edges = &self.nodes[node as usize].edges;
        if let Some((_, edge)) = edges.iter().find(|(over, edge)| *over == class && edge.gap == gap) {
            return edge.to;
        }
        let to = self.node();
        self.nodes[node as usize].edges.push((class, Edge { gap, to }));
        to
    }

    fn node(&mut self) -> u32 {
        self.nodes.push(Node::default());
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// The tree, laid out for walks.
    pub(super) fn into_tree(self) -> Tree {
        let Self { classes, mut roots, nodes } = self;
        let (order, numbers) = crossings_first(&nodes);
        let renumbered = |node: u32| numbers[node as usize];
        roots.iter_mut().flatten().for_each(|root| *root = renumbered(*root));
        let mut tree = Tree {
            vocabulary: classes.into_vocabulary(roots),
            crossings: Vec::new(),
            edge_classes: Vec::new(),
            edges: Vec::new(),
            ends_from: vec![0],
            ends: Vec::new(),
        };
        for Node { edges, ends } in order.into_iter().map(|node| &nodes[node]) {
            let first = number_of(&tree.edges);
            for (class, Edge { gap, to }) in edges {
                tree.edge_classes.push(*class);
                tree.edges.push(Edge { gap: *gap, to: renumbered(*to) });
            }
            if let Some(patience) = edges.iter().map(|(_, edge)| edge.gap).max() {
                tree.crossings.push(Crossing { first, last: number_of(&tree.edges), patience });
            }
            tree.ends.extend(ends);
            tree.ends_from.push(number_of(&tree.ends));
        }
        tree
    }
}

/// The nodes that others follow, and then the others; and which number each node has in that order.
fn crossings_first(nodes: &[Node]) -> (Vec<usize>, Vec<u32>) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|node| nodes[*node].edges.is_empty());
    let mut numbers = vec![0; nodes.len()];
    for (node, number) in order.iter().zip(0..) {
        numbers[*node] = number;
    }
    (order, numbers)
}

fn number_of<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
