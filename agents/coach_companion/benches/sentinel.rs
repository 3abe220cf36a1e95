//! What the sentinel costs: a message of 2,000 characters on the way in, a sentence on the way out, a long session.
//!
//! ```console
//! $ cargo bench -p coach_companion
//! ```

use std::hint::black_box;
use std::sync::Arc;

use agentcore_runtime::core::history::{CompleteTurn, complete};
use agentcore_runtime::core::message::Message;
use agentcore_runtime::prelude::{Guard, Heard, Leaving, Safety};
use coach_companion::payload::UserContext;
use coach_companion::sentinel::Sentinel;
use coach_companion::sentinel::goals::Person;
use coach_companion::sentinel::reading::find;
use coach_companion::sentinel::text::Text;
use criterion::{Criterion, criterion_group, criterion_main};

/// Ordinary talk of 2,000 characters.
fn long_message() -> String {
    let talk = "I had porridge with a grated apple, walked to the shop and back, and my husband made a lasagne that I \
                could not refuse. The scales have not moved since the bank holiday, is that normal? ";
    talk.chars().cycle().take(2_000).collect()
}

fn sentinel(criterion: &mut Criterion) {
    let sentinel = Sentinel::for_user(&UserContext::default());
    let (text, person) = (long_message(), Person::default());
    // Not by way of the sentinel, which remembers what it has read.
    criterion.bench_function("a message of 2,000 characters", |bencher| {
        bencher.iter(|| black_box(find(&Text::of(black_box(&text)), &person)));
    });

    let said = "I want to go for a walk, is it true that a person can do that on a rainy day?";
    let messages = (0..100).flat_map(|_| [Message::user(said), Message::assistant("Yes.")]);
    let history: Vec<Arc<CompleteTurn>> = complete(messages).into_iter().map(Arc::new).collect();
    criterion.bench_function("a short message after 100 others", |bencher| {
        bencher.iter(|| black_box(sentinel.inspect(&Heard { text: black_box(said), history: &history })));
    });

    let safety = Safety::default();
    let sentence = "Half a kilogram a week is a steady rate, and soup at lunch is a good place to begin. ";
    criterion.bench_function("a sentence of an answer", |bencher| {
        bencher
            .iter(|| black_box(sentinel.review(&Leaving { sentence: black_box(sentence), said: "", safety: &safety })));
    });
}

criterion_group!(benches, sentinel);
criterion_main!(benches);
