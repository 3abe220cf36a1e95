//! No input makes the sentinel slow: four times the words take about four times the time, whatever the words are.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use agentcore_runtime::prelude::*;
use coach_companion::payload::{Sex, UserContext};
use coach_companion::sentinel::Sentinel;
use coach_companion::sentinel::goals::Person;
use coach_companion::sentinel::reading::find;
use coach_companion::sentinel::text::Text;
use proptest::prelude::*;

/// How much longer four times the words may take. Work that grows with the square takes sixteen times as long.
const MOST_GROWTH: u32 = 8;

/// The longest that 2,000 characters may take in a build without optimisation, on a machine that is busy.
const LONGEST: Duration = Duration::from_millis(500);

/// Phrases that rules begin with, deny, void and judge by arithmetic, which somebody may send over and over.
const NASTY: [&str; 28] = [
    "I want to die ",
    "1kg 1day ",
    "lose 10 kg in two weeks ",
    "in two weeks 10 kg ",
    "eat 800 kcal a day ",
    "my sister says she wants to die ",
    "not ",
    "i do not want to ",
    "a hundred and ",
    "7 stone 10 ",
    "5'4 ",
    "i am 14 stone ",
    "die!",
    "**",
    "*k*",
    "<b>",
    "\n",
    "want to\n",
    "1,000,000",
    "1.5",
    "a@b",
    "5'",
    "a'b",
    "- skip dinner\n",
    "you could double your dose with your doctor ",
    "skip these:\n",
    "used to, now ",
    "a b c ",
];

/// Whom the context below is about.
const PERSON: Person = Person { height_cm: Some(170.0), weight_kg: Some(70.0), sex: Some(Sex::Male) };

fn sentinel() -> Sentinel {
    let context = r#"{"height_cm": 170, "weight_log": [{"date": "2026-01-02", "kg": 70}], "sex": "male"}"#;
    Sentinel::for_user(&serde_json::from_str::<UserContext>(context).expect("a context"))
}

/// How long this thread has been at work, whoever else was at work on this machine meanwhile.
pub(crate) fn worked() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    // The kernel writes down what a thread has used when it gives way.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let used = told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    used.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

/// What it takes to read a text on its way in and, as a sentence that follows itself, on its way out.
fn time(sentinel: &Sentinel, text: &str) -> Duration {
    let safety = Safety::default();
    let best = (0..3).map(|_| {
        let began = worked();
        // Not by way of the sentinel, which remembers what it has read.
        black_box(find(&Text::of(text), &PERSON));
        black_box(sentinel.review(&Leaving { sentence: text, said: text, safety: &safety }));
        worked().saturating_sub(began)
    });
    best.min().unwrap_or_default()
}

/// Both lengths together, so that a busy machine troubles both; again where it seems to have troubled one.
fn grows(sentinel: &Sentinel, piece: &str) -> Result<(), String> {
    let text = |length: usize| piece.repeat((length / piece.len()).max(1));
    let (short, long) = (text(1_500), text(6_000));
    let mut told = String::new();
    for _ in 0..3 {
        let (one, four) = (time(sentinel, &short).max(Duration::from_millis(1)), time(sentinel, &long));
        if four < one * MOST_GROWTH {
            return Ok(());
        }
        told = format!("{piece:?}: {one:?} for 1,500 bytes, {four:?} for 6,000");
    }
    Err(told)
}

#[test]
fn four_times_the_words_take_four_times_the_time() {
    let sentinel = sentinel();
    time(&sentinel, "The rules are read once.");
    let slow: Vec<String> = NASTY.iter().filter_map(|piece| grows(&sentinel, piece).err()).collect();
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

#[test]
fn two_thousand_characters_are_read_at_once() {
    let sentinel = sentinel();
    time(&sentinel, "The rules are read once.");
    let took = NASTY.map(|piece| (piece, time(&sentinel, &piece.repeat(2_000 / piece.len()))));
    assert!(took.iter().all(|(_, took)| *took < LONGEST), "{took:#?}");
}

/// Anything that data files, numbers and units can be made of.
fn pieces() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "i", "want", "to", "die", "not", "no", "my", "sister", "she", "lose", "10", "kg", "in", "two", "weeks",
        "1,000", "kcal", "a", "day", "stone", "and", "half", "hundred", "skip", "dinner", "double", "your", "dose",
        "doctor", "if", "you", "14", "am", "used", "now", "film", "take", "tablets", "kill", "myself", "hurt", "after",
        "fast", "for", "bmi", "5'4", "never",
    ]);
    let end = prop::sample::select(vec![" ", " ", " ", " ", ", ", ". ", "\n", "!", ": ", "\n- ", " **", "** "]);
    let row = |words: Vec<(&str, &str)>| words.into_iter().flat_map(|(word, end)| [word, end]).collect();
    prop::collection::vec((word, end), 1..12).prop_map(row)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_row_of_phrases_numbers_and_units_is_read_in_time_that_grows_with_its_length(piece in pieces()) {
        let sentinel = sentinel();
        prop_assert_eq!(grows(&sentinel, &piece), Ok(()));
    }
}
