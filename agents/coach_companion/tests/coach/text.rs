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
        ("I want to **die**", "i want to die"),
        ("I want to *die*", "i want to die"),
        ("**skip dinner** tonight, **please**", "skip dinner tonight please"),
        ("**skip**dinner", "skip dinner"),
        ("_skip_ `dinner`", "skip dinner"),
        ("## skip\u{a0}dinner", "skip dinner"),
        ("> \"skip\" “dinner”", "skip dinner"),
        ("skip<br>dinner <strong>tonight</strong>", "skip dinner tonight"),
        ("<known_of_user>", "known of user"),
        ("sk\u{ad}ip din\u{2060}ner", "skip dinner"),
        ("ⓢⓚⓘⓟ", "skip"),
        ("I want to die!please help me", "i want to die please help me"),
        ("no!no!no!no!no!no!no!no!no!no!no!no!no!no!die", "no no no no no no no no no no no no no no die"),
        ("k!ll", "kill"),
        ("I want to*die*now", "i want to die now"),
        ("f*ck this", "f*ck this"),
        ("i want to d*", "i want to d"),
        ("1,000 kcal and 12,500 steps", "1000 kcal and 12500 steps"),
        ("1.000 kcal, 1.250 kg, 5,5 kg", "1000 kcal 1.250 kg 5.5 kg"),
        ("7st10, 5'4\", 5ft4", "7 st 10 5 ft 4 5 ft 4"),
        ("a b", "a b"),
        ("", ""),
        ("👍🏽 ok", "ok"),
    ] {
        assert_eq!(read(message), words, "{message}");
    }
}

#[test]
fn sentences_end_where_they_end() {
    let text = Text::of("I am well. Are you? Yes, today\nand tomorrow\nMaybe");
    let ends: Vec<Break> = (0..text.len()).map(|place| text.after(place)).collect();
    assert_eq!(ends[2], Break::Sentence);
    assert_eq!(ends[4], Break::Question);
    assert_eq!(ends[5], Break::Clause);
    assert_eq!((ends[6], ends[8]), (Break::Line, Break::Sentence));
    assert_eq!(text.sentences().count(), 5);
    assert_eq!(text.with_lines_joined().expect("a line may go on").sentences().count(), 4);
    assert!(Text::of("One line.\nAnother").with_lines_joined().is_none());
}

#[test]
fn all_of_a_message_is_read_however_long_it_is() {
    let talk = "I had soup. ".repeat(4_000);
    let text = Text::of(&format!("{talk}I want to kill myself. {talk}"));
    assert_eq!(text.len(), 4_000 * 3 * 2 + 5);
    assert!(!coach_companion::sentinel::rules::find(&text).is_empty());
}

proptest! {
    #[test]
    fn any_text_is_read_whole(message in "\\PC{0,300}|(.|\\n){0,100}") {
        let text = Text::of(&message);
        let places: usize = text.sentences().map(|sentence| sentence.len()).sum();
        prop_assert_eq!(places, text.len());
    }
}
