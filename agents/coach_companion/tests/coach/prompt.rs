//! Every combination of what the app may say composes a prompt that says what it should and nothing else.

use std::fmt::Write as _;

use coach_companion::payload::{CoachingStyle, Gamification, GoalType, UserContext, WeightUnit};
use coach_companion::prompt::{Known, Onboarding, Part, compose, parts};
use coach_companion::remembered::Remembered;

const STYLES: [Option<CoachingStyle>; 5] = [
    None,
    Some(CoachingStyle::Gentle),
    Some(CoachingStyle::Pragmatic),
    Some(CoachingStyle::Upbeat),
    Some(CoachingStyle::Structured),
];
const GOALS: [Option<GoalType>; 4] =
    [None, Some(GoalType::Loss), Some(GoalType::Maintenance), Some(GoalType::Transition)];
const GLP1: [Option<bool>; 3] = [None, Some(false), Some(true)];
const GAMIFICATION: [Option<Gamification>; 4] =
    [None, Some(Gamification::High), Some(Gamification::Moderate), Some(Gamification::Low)];

fn contexts() -> impl Iterator<Item = UserContext> {
    STYLES.into_iter().flat_map(|coaching_style| {
        GOALS.into_iter().flat_map(move |goal_type| {
            GLP1.into_iter().flat_map(move |on_glp1| {
                GAMIFICATION.into_iter().map(move |gamification_preference| UserContext {
                    coaching_style,
                    goal_type,
                    on_glp1,
                    gamification_preference,
                    ..UserContext::default()
                })
            })
        })
    })
}

fn of(context: UserContext) -> Known {
    Known { context, ..Known::default() }
}

/// A part's first words, by which a reader knows it.
fn heading(part: &Part) -> String {
    let text = part.text();
    let end = text.find(['.', '\n', '/']).unwrap_or(text.len());
    text[..end].to_owned()
}

#[test]
fn each_combination_has_its_parts_and_no_others() {
    let mut table = String::new();
    for context in contexts() {
        let UserContext { coaching_style, goal_type, on_glp1, gamification_preference, .. } = &context;
        let parts = parts(&of(context.clone()));
        let headings: Vec<String> = parts.iter().skip(2).map(heading).collect();
        let _ = writeln!(
            table,
            "{coaching_style:?} × {goal_type:?} × GLP-1 {on_glp1:?} × {gamification_preference:?}\n    {}",
            headings.join(" | ")
        );
    }
    insta::assert_snapshot!(table);
}

#[test]
fn each_part_says_what_it_says() {
    let all = [
        vec![Part::Persona, Part::Numbers],
        STYLES.into_iter().flatten().map(Part::Style).collect(),
        GOALS.into_iter().flatten().map(Part::Goal).collect(),
        vec![Part::OnGlp1],
        GAMIFICATION.into_iter().flatten().map(Part::Gamification).collect(),
        [WeightUnit::Kg, WeightUnit::Lb, WeightUnit::St].map(Part::Units).to_vec(),
        vec![Part::Onboarding(Onboarding::Goal), Part::Onboarding(Onboarding::Style)],
        vec![Part::KnownOfUser(r#"{"name":"Aoife"}"#.to_owned())],
    ];
    insta::assert_snapshot!(all.concat().iter().map(Part::text).collect::<Vec<_>>().join("\n\n"));
}

#[test]
fn a_prompt_is_its_parts_and_nothing_leaks_from_one_value_into_anothers() {
    for context in contexts() {
        let prompt = compose(&of(context.clone()));
        let own = parts(&of(context.clone()));
        assert_eq!(prompt.len(), own.iter().map(|part| part.text().len() + 2).sum::<usize>() - 2);
        let foreign = contexts().flat_map(|other| parts(&of(other))).filter(|part| !own.contains(part));
        for part in foreign {
            assert!(!prompt.contains(&part.text()), "{context:?} must not say: {}", part.text());
        }
        let has_medicine = prompt.contains("GLP-1");
        assert_eq!(has_medicine, context.on_glp1 == Some(true));
    }
}

#[test]
fn one_thing_is_asked_at_a_time_and_only_in_the_beginning() {
    let asked =
        |known: &Known| parts(known).into_iter().filter(|part| matches!(part, Part::Onboarding(_))).collect::<Vec<_>>();
    let mut known = Known::default();
    assert_eq!(asked(&known), [Part::Onboarding(Onboarding::Goal)]);
    known.remembered = Remembered::from_words(["I just want to keep it off now."]);
    assert_eq!(asked(&known), [Part::Onboarding(Onboarding::Style)]);
    known.context.coaching_style = Some(CoachingStyle::Gentle);
    assert_eq!(asked(&known), []);
    assert_eq!(asked(&Known { turns: 6, ..Known::default() }), []);
}

#[test]
fn what_the_app_says_counts_before_words() {
    let remembered = Remembered::from_words(["Be blunt with me. I'm on Wegovy."]);
    let words_only = Known { remembered: remembered.clone(), ..Known::default() };
    assert!(parts(&words_only).contains(&Part::Style(CoachingStyle::Pragmatic)));
    assert!(parts(&words_only).contains(&Part::OnGlp1));
    let context =
        UserContext { coaching_style: Some(CoachingStyle::Gentle), on_glp1: Some(false), ..UserContext::default() };
    let both = parts(&Known { context, remembered, turns: 0 });
    assert!(both.contains(&Part::Style(CoachingStyle::Gentle)) && !both.contains(&Part::OnGlp1));
}
