//! How good the sentinel is, held to `evaluation/thresholds.toml`; and that what it is judged by is in order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use agentcore_runtime::prelude::Severity;
use coach_companion::evaluation::cases::{Case, read_folder};
use coach_companion::evaluation::conversations::{self, score};
use coach_companion::evaluation::reports::{Reports, asked};
use coach_companion::evaluation::{
    Figures, HeldOutThresholds, Judged, Thresholds, html, judge, judge_with_reports, table,
};
use coach_companion::sentinel::GENTLE;
use coach_companion::sentinel::classifier::RULE;
use coach_companion::sentinel::kind::Kind;
use coach_companion::sentinel::second_reader::SECOND_READER;
use serde_json::{Value, json};

fn cases(split: &str) -> Vec<Case> {
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation").join(split)).expect("each line makes sense")
}

fn plain(message: &str) -> String {
    message.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn reports() -> Reports {
    Reports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/reports/held_out.txt")).expect("reports")
}

fn thresholds() -> HeldOutThresholds {
    HeldOutThresholds::read().expect("the file has what it needs")
}

fn assert_reached(thresholds: &Thresholds, judged: &[Judged]) {
    let figures = Figures::of(judged);
    let failures = figures.failures(thresholds);
    assert!(failures.is_empty(), "{}\n\n{}", failures.join("\n"), table::table("held_out", &figures, judged, false));
}

#[test]
fn what_was_not_tuned_on_is_judged_as_well_as_the_thresholds_say() {
    let judged: Vec<Judged> = cases("held_out").into_iter().map(judge).collect();
    assert_reached(&thresholds().alone, &judged);
}

#[test]
fn where_a_model_is_asked_as_well_it_is_judged_as_well_as_the_thresholds_of_both_say() {
    let reports = reports();
    let judged: Vec<Judged> = cases("held_out").into_iter().map(|case| judge_with_reports(case, &reports)).collect();
    assert_reached(&thresholds().with_second_reader, &judged);
}

#[test]
fn every_message_that_was_not_tuned_on_has_a_report_and_nothing_else_has() {
    let (cases, reports) = (cases("held_out"), reports());
    let messages: HashSet<&str> = cases.iter().map(|case| case.says.as_str()).collect();
    let reported: HashSet<&str> = reports.messages().collect();
    // Counted and not printed: nobody is to look at them.
    assert_eq!(messages.difference(&reported).count(), 0, "messages without a report");
    assert_eq!(reported.difference(&messages).count(), 0, "reports of what is no message");
}

/// Other words would have had other answers.
#[test]
fn what_the_model_was_asked_is_what_the_second_reader_asks_now() {
    let was_asked = include_str!("../../evaluation/reports/asked.txt");
    assert_eq!(was_asked, asked(), "have a model asked again, and record what it reports");
}

#[test]
fn a_report_counts_only_where_the_sentinel_asks() {
    let file =
        file_of("# A remark.\n## self_harm low_mood\nThe bins go out on a Tuesday\n\n## medication\nI want to die\n");
    let reports = Reports::read(file.path()).expect("reports");
    let seen_by_model = |says: &str| {
        let judged = judge_with_reports(ordinary(says), &reports);
        (judged.severity, judged.flags.iter().any(|(_, rule)| rule == SECOND_READER))
    };
    assert_eq!(seen_by_model("The bins go out on a Tuesday"), (Severity::Crisis, true));
    assert_eq!(seen_by_model("I want to die"), (Severity::Crisis, false), "nobody is asked about a crisis");
}

/// A message that only the classifier fears, and only mildly.
#[test]
fn without_a_report_the_sentinel_decides_and_a_report_takes_back_what_it_only_feared() {
    let is_feared = |case: &Case| {
        let judged = judge(case.clone());
        let by_classifier = judged.flags.iter().any(|(_, rule)| rule == RULE);
        by_classifier
            && judged.flags.iter().all(|(_, rule)| rule == RULE || rule == GENTLE)
            && judged.severity < Severity::Crisis
    };
    let feared = cases("development").into_iter().find(is_feared).expect("one in 96,000");
    let nothing = file_of(&format!("## nothing\n{}\n", feared.says));

    let alone = judge_with_reports(feared.clone(), &Reports::default());
    let beside = judge_with_reports(feared, &Reports::read(nothing.path()).expect("reports"));

    assert!(!alone.flags.is_empty());
    assert_eq!(beside.flags, []);
}

#[test]
fn a_file_of_reports_that_makes_no_sense_is_refused_where_it_does_not() {
    let refusal = |text: &str| {
        let file = file_of(text);
        let refusal = Reports::read(file.path()).expect_err("a refusal").to_string();
        refusal.replace(&file.path().display().to_string(), "FILE")
    };
    insta::assert_snapshot!(
        [
            "I want to die\n",
            "## nothing\nhello\n## self_harm\nhello\n",
            "## selfharm\nhello\n",
            "## nothing self_harm\nhello\n",
        ]
        .map(refusal)
        .join("\n"),
        @r#"
    FILE, line 1: a message stands before the first `## ` heading
    FILE, line 4: this message has another report above
    FILE, line 1: "selfharm" is no label of data/second_reader.toml; without any it is `## nothing`
    FILE, line 1: "nothing" is no label of data/second_reader.toml; without any it is `## nothing`
    "#
    );
    assert!(Reports::read(Path::new("nowhere.txt")).is_err());
}

fn file_of(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("it can be written");
    file
}

fn ordinary(says: &str) -> Case {
    Case { says: says.to_owned(), expected: None, group: "benign".to_owned(), file: "made_up".to_owned() }
}

/// The floors of one are none of the other: alone the sentinel does not reach those of both.
#[test]
fn the_program_checks_what_was_asked_for() {
    for (options, heading) in
        [(&["--check"][..], "held_out:"), (&["--check", "--with-second-reader"], "held_out with a second reader:")]
    {
        let program =
            std::process::Command::new(env!("CARGO_BIN_EXE_evaluate")).args(options).output().expect("it runs");
        assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
        assert!(String::from_utf8_lossy(&program.stdout).starts_with(heading));
    }
    let alone: Vec<Judged> = cases("held_out").into_iter().map(judge).collect();
    assert!(!Figures::of(&alone).failures(&thresholds().with_second_reader).is_empty());
}

#[test]
fn no_message_is_in_two_splits() {
    let splits = ["tuning", "development", "held_out"].map(|split| (split, cases(split)));
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut twice = Vec::new();
    for (split, cases) in &splits {
        for case in cases {
            if let Some(other) = seen.insert(plain(&case.says), split).filter(|other| other != split) {
                twice.push(format!("{other} and {split}: {}", case.says));
            }
        }
    }
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn there_are_messages_of_every_kind_and_sort() {
    let (tuned, development, held_out) = (cases("tuning"), cases("development"), cases("held_out"));
    assert!(tuned.len() + held_out.len() > 600 && held_out.len() > 200, "{} and {}", tuned.len(), held_out.len());
    for split in [&tuned, &development, &held_out] {
        let mut of_kind: BTreeMap<&str, usize> = BTreeMap::new();
        for case in split {
            *of_kind.entry(case.expected.map_or("none", |(kind, _)| kind.as_str())).or_default() += 1;
        }
        assert_eq!(of_kind.len(), 11, "{of_kind:?}");
        let groups: HashSet<&str> = split.iter().map(|case| case.group.as_str()).collect();
        assert!(["plain", "subtle", "look_alike", "benign"].iter().all(|group| groups.contains(group)), "{groups:?}");
    }
    assert!(tuned.iter().any(|case| case.group == "ambiguous"), "what a careful nurse would have to weigh");
}

#[test]
fn each_conversation_goes_as_it_should() {
    let mut misses = Vec::new();
    for conversation in conversations::all() {
        misses.extend(conversation.misses().expect("a context that the app may send"));
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn there_are_conversations_of_every_sort_each_named_once() {
    let names: HashSet<&str> = conversations::all().iter().map(|conversation| conversation.name.as_str()).collect();
    assert_eq!(names.len(), conversations::all().len());
    let groups: HashSet<&str> = conversations::all().iter().map(|conversation| conversation.group.as_str()).collect();
    assert_eq!(groups, HashSet::from(["multi_turn", "injection", "style", "goal"]));
}

#[test]
fn a_judge_is_shown_the_conversation_the_answer_and_the_criterion() {
    let conversation = conversations::all().iter().find(|conversation| conversation.name == "gentle").expect("one");
    insta::assert_snapshot!(conversation.question("That happens. {should} What would help now?"));
}

#[test]
fn a_verdict_is_found_in_whatever_a_judge_says() {
    let of = |said| score(said).map(|score| score.score);
    assert_eq!(of(r#"{"score": 4, "reason": "nearly"}"#), Some(4));
    assert_eq!(of("Sure! ```json\n{\"score\": 5}\n``` as {asked}"), Some(5));
    assert_eq!(of(r#"{"score": 9}"#), None);
    assert_eq!(of("no verdict"), None);
    assert_eq!(of(r#"{"score": "#), None);
}

#[test]
fn what_an_answer_must_not_say_is_named() {
    let conversation = &conversations::all()[0];
    assert_eq!(conversation.broken_by("I'm here with you."), Vec::<String>::new());
    assert_eq!(conversation.broken_by("Stay below 1200 KCAL."), ["says \"kcal\""]);
    assert_eq!(conversation.broken_by("The kcals of this"), Vec::<String>::new(), "a word is not a part of another");
    assert_eq!(conversation.broken_by("You should be ashamed of yourself.").len(), 1);
}

#[test]
fn what_an_answer_tells_of_a_message_is_held_to_the_same() {
    let crisis = &conversations::all()[0].messages[0];
    let told = |severity: &str, kind: &str, rule: &str| {
        crisis.miss_in_answer(&json!({ "severity": severity, "flags": [{ "kind": kind, "rule": rule }] }))
    };
    assert_eq!(told("crisis", "self_harm", "wants_to_die"), None);
    assert_eq!(told("info", "self_harm", "gentle_session").as_deref(), Some("found none info, not self_harm crisis"));
    assert_eq!(told("elevated", "low_mood", "x").as_deref(), Some("found low_mood elevated, not self_harm crisis"));
    assert!(crisis.miss_in_answer(&Value::Null).is_some());
    let after = &conversations::all()[0].messages[1];
    let told = after.miss_in_answer(&json!({ "severity": "none" }));
    assert_eq!(told.as_deref(), Some("the session is not gentle"));
}

/// Three messages: one told rightly, one missed, one false alarm; the matrix has each in its row and column.
#[test]
fn the_confusion_matrix_counts_what_was_expected_by_what_was_found() {
    let made_up = |says: &str, kind: Option<(Kind, Severity)>| {
        judge(Case { says: says.to_owned(), expected: kind, group: "plain".to_owned(), file: "made_up".to_owned() })
    };
    let judged = vec![
        made_up("I want to die", Some((Kind::SelfHarm, Severity::Crisis))),
        made_up("What is for lunch?", Some((Kind::SelfHarm, Severity::Crisis))),
        made_up("I'm 12 weeks pregnant", None),
    ];
    let page = html::page("0.0.0", &[("made_up", &Figures::of(&judged), &judged)]);
    let row = |name: &str| {
        let start = page.find(&format!("<tr><th>{name}</th>")).expect("the kind has a row");
        let row = &page[start..start + page[start..].find("</tr>").expect("a row ends")];
        row.split("<td")
            .skip(1)
            .map(|cell| cell[cell.find('>').map_or(0, |end| end + 1)..].trim_end_matches("</td>").to_owned())
            .collect::<Vec<_>>()
    };
    let column = |name: &str| Kind::ALL.iter().position(|kind| kind.as_str() == name).unwrap_or(Kind::ALL.len());
    let counted =
        |name: &str| row(name).into_iter().enumerate().filter(|(_, cell)| !cell.is_empty()).collect::<Vec<_>>();
    assert_eq!(counted("self_harm"), [(column("self_harm"), "1".to_owned()), (column("none"), "1".to_owned())]);
    assert_eq!(counted("none"), [(column("pregnancy"), "1".to_owned())]);
    assert_eq!(counted("low_mood"), []);
}

#[test]
fn the_program_prints_the_figures_and_writes_the_page() {
    let page = std::env::temp_dir().join(format!("evaluate-{}.html", std::process::id()));
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_evaluate"))
        .args(["held_out", "--json", "--html"])
        .arg(&page)
        .output()
        .expect("it runs");
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    let figures: Value = serde_json::from_slice(&program.stdout).expect("JSON");
    assert!(figures["crisis_recall"]["of"].as_u64().is_some_and(|count| count > 0), "{figures}");
    let written = std::fs::read_to_string(&page).expect("the page");
    std::fs::remove_file(&page).expect("it can go");
    assert!(written.contains("held_out") && written.contains("</table>"));
}

#[test]
fn thresholds_and_reports_are_for_no_other_split() {
    let of_others = ["development", "tuning"].into_iter().flat_map(|split| {
        let thresholds = format!("evaluate: the thresholds are for held_out; leave out --check or {split}\n");
        let reports =
            format!("evaluate: no model was asked about {split}; leave out --with-second-reader or {split}\n");
        [(split, "--check", thresholds), (split, "--with-second-reader", reports)]
    });
    for (split, option, refusal) in of_others {
        let program =
            std::process::Command::new(env!("CARGO_BIN_EXE_evaluate")).args([split, option]).output().expect("it runs");
        assert_eq!(program.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&program.stderr), refusal);
    }
}

/// As many messages as a split may have, so that no number touches the next.
#[test]
fn the_table_has_room_for_large_splits() {
    let says = |says: &str, expected| Case {
        says: says.to_owned(),
        expected,
        group: "plain".to_owned(),
        file: "made_up".to_owned(),
    };
    let crisis = Some((Kind::SelfHarm, Severity::Crisis));
    let mut judged = vec![judge(says("I want to die", crisis)); 23_018];
    judged.extend(
        [("What is for dinner?", None), ("What is for lunch?", crisis)].map(|(text, of)| judge(says(text, of))),
    );
    let table = table::table("made_up", &Figures::of(&judged), &judged, true);
    insta::assert_snapshot!(table);
}

#[test]
fn the_page_has_every_miss_and_nothing_of_it_is_markup() {
    let says = "<script>alert('to die for')</script>".to_owned();
    let expected = cases("held_out").into_iter().find_map(|case| case.expected);
    let judged = vec![judge(Case { says, expected, group: "plain".to_owned(), file: "made_up".to_owned() })];
    let figures = Figures::of(&judged);
    let page = html::page("0.0.0", &[("held_out", &figures, &judged)]);
    assert!(page.contains("&lt;script&gt;alert("), "the miss is listed");
    assert!(!page.contains("<script"), "and is text");
}
