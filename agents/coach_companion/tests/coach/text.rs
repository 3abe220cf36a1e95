//! What people type, made plain.

use coach_companion::sentinel::text::{Break, Text};
use proptest::prelude::*;

fn read(message: &str) -> String {
    Text::of(message).words().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_people_type_becomes_plain_words() {
    for (message, words) in [
        ("I don’t want to LIVE anymore.", "i do not want to live anymore"),
        ("k i l l myself", "kill myself"),
        ("s.u.i.c.i.d.e", "suicide"),
        ("su!cide", "suicide"),
        ("k1ll my$elf", "kill myself"),
        ("I wanna d1e", "i want to die"),
        ("sooooo tired", "so tired"),
        ("please help!I cannot", "please help i can not"),
        ("lost 10kg in 2weeks, 5.5 left", "lost 10 kg in 2 weeks 5.5 left"),
        ("ｋｉｌｌ 𝓶𝔂𝓼𝓮𝓵𝓯", "kill myself"),
        ("ѕuісіdе", "suicide"),
        ("naïve café", "naive cafe"),
        ("sui\u{200b}cide", "suicide"),
        ("kms 🔪", "kill myself knife"),
        ("k*ll", "kill"),
        ("a b", "a b"),
        ("", ""),
        ("👍🏽 ok", "ok"),
    ] {
        assert_eq!(read(message), words, "{message}");
    }
}

#[test]
fn sentences_end_where_they_end() {
    let text = Text::of("I am well. Are you? Yes, today\nand tomorrow");
    let ends: Vec<Break> = (0..text.len()).map(|place| text.after(place)).collect();
    assert_eq!(ends[2], Break::Sentence);
    assert_eq!(ends[4], Break::Question);
    assert_eq!(ends[5], Break::Clause);
    assert_eq!(text.sentences().count(), 4);
}

proptest! {
    #[test]
    fn any_text_is_read_whole(message in "\\PC{0,300}|(.|\\n){0,100}") {
        let text = Text::of(&message);
        let places: usize = text.sentences().map(|sentence| sentence.len()).sum();
        prop_assert_eq!(places, text.len());
    }
}
