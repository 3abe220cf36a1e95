//! The lines of a weight-management coach.
//!
//! A message is sorted into a [`Topic`] and the topic has its lines, in the tone that is asked for.
//! These are stand-ins for a model's words in tests and demonstrations, but people will read them:
//! no shame, no praise for eating little, clinicians for what is theirs, and help first when somebody
//! is in danger.

use super::persona::{Style, Tone};
use super::recall::Facts;
use super::words::Words;

/// What a message is about. Those that come first matter more when a message is about several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    SelfHarm,
    Emergency,
    EatingDisorder,
    LowMood,
    TooLittle,
    Opening,
    LargeLoss,
    Appetite,
    Medication,
    Motivation,
    HonestLogging,
    Lapse,
    Plateau,
    Maintenance,
    Success,
    Introduction,
    CheckIn,
    Meal,
    Exercise,
    Greeting,
    Thanks,
    Other,
}

/// What the lines of an answer depend on beside the topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) style: Style,
    pub(super) facts: &'a Facts,
    /// How many messages the user has sent, which varies the last line.
    pub(super) turn: usize,
}

/// Loss above this many kilograms is for a clinician to accompany; rapid loss always is.
const LARGE_LOSS_KILOGRAMS: f64 = 15.0;

/// A day's energy below this, in kilocalories, is not coached (very-low-energy diets begin here).
const TOO_FEW_KILOCALORIES: f64 = 1_000.0;

const SELF_HARM: &[&str] = &[
    "kill myself",
    "killing myself",
    "suicid*",
    "end my life",
    "end it all",
    "hurt myself",
    "hurting myself",
    "harm myself",
    "harming myself",
    "self harm*",
    "cutting myself",
    "want to die",
    "better off dead",
    "better off without me",
    "don't want to live",
    "don't want to be alive",
    "don't want to be here any*",
    "no reason to live",
    "ending my life",
    "end things",
    "nobody would miss me",
    "no one would miss me",
    "take my own life",
];
const EMERGENCY: &[&str] = &[
    "chest pain*",
    "pain in my chest",
    "can't breathe",
    "trouble breathing",
    "struggling to breathe",
    "fainted",
    "passed out",
    "vomiting blood",
    "blood in my*",
    "seizure*",
    "overdose*",
    "severe pain",
    "severe stomach pain",
    "throat is swelling",
];
const EATING_DISORDER: &[&str] = &[
    "make myself sick",
    "made myself sick",
    "making myself sick",
    "make myself throw up",
    "made myself throw up",
    "throw up after*",
    "purge*",
    "purging",
    "laxative*",
    "bulimi*",
    "anorexi*",
    "eating disorder",
    "binge",
    "binged",
    "bingeing",
    "binging",
    "starve myself",
    "starving myself",
    "afraid to eat",
    "stopped eating",
    "haven't eaten in*",
    "haven't eaten for*",
];
const LOW_MOOD: &[&str] = &[
    "depress*",
    "hopeless",
    "worthless",
    "anxiety",
    "anxious",
    "panic attack*",
    "hate myself",
    "hate my body",
    "can't get out of bed",
    "feel so low",
    "feeling so low",
    "really low",
    "empty inside",
    "can't cope",
    "really down",
    "feel down",
    "feeling down",
    "so down",
    "low mood",
    "feeling low",
    "crying all the time",
];
const TOO_LITTLE: &[&str] = &[
    "skipped meals",
    "skipping meals",
    "skip meals",
    "to be lighter",
    "fasting for days",
    "water fast",
    "eaten nothing",
];
const OPENING: &[&str] = &[
    "opened the app",
    "opens the app",
    "opened the conversation",
    "opens the conversation",
    "start the conversation",
    "starts the conversation",
    "begin the conversation",
    "begin our conversation",
    "greet the user",
    "greet the person",
    "greet me",
    "greet them",
];
const APPETITE: &[&str] = &["appetite", "hungry", "hunger", "craving*", "not hungry", "full so quickly", "never full"];
const MEDICATION: &[&str] = &[
    "dose*",
    "dosage",
    "dosing",
    "inject*",
    "medication*",
    "medicine*",
    "meds",
    "prescri*",
    "side effect*",
    "nausea",
    "nauseous",
    "ozempic",
    "wegovy",
    "mounjaro",
    "saxenda",
    "semaglutide",
    "tirzepatide",
    "liraglutide",
    "metformin",
    "insulin",
    "diagnos*",
];
const MOTIVATION: &[&str] = &[
    "motivat*",
    "unmotivated",
    "demotivat*",
    "give up",
    "giving up",
    "can't be bothered",
    "discouraged",
    "what's the point",
    "losing heart",
];
const LAPSE: &[&str] = &[
    "setback*",
    "set back",
    "slipped",
    "slip up",
    "slip",
    "relapse*",
    "lapse*",
    "overate",
    "overeat*",
    "ate too much",
    "blew it",
    "fell off",
    "off track",
    "off plan",
    "cheated",
    "guilty",
    "ashamed",
    "i failed",
    "gave in",
    "ruined",
    "gained",
    "messed up",
    "bad day",
    "rough day",
    "whole pizza",
    "whole cake",
    "whole tub",
    "whole packet",
    "whole bag",
    "feel awful",
    "feel terrible",
    "went up",
    "put on",
    "weight is up",
];
const LOGGING: &[&str] = &[
    "logged",
    "logging",
    "tracked",
    "wrote it down",
    "wrote it all down",
    "recorded",
    "being honest",
    "to be honest",
    "honestly",
    "honest with you",
    "confess",
];
const PLATEAU: &[&str] = &[
    "plateau*",
    "i'm stuck",
    "am stuck",
    "been stuck",
    "stuck at",
    "not moving",
    "hasn't moved",
    "won't move",
    "hasn't budged",
    "won't budge",
    "stall*",
    "same weight",
    "stopped losing",
    "not losing",
    "has not moved",
    "hasn't changed",
    "has not changed",
    "not budging",
    "not budged",
];
const MAINTENANCE: &[&str] = &[
    "maintain*",
    "maintenance",
    "keep it off",
    "keeping it off",
    "hold my weight",
    "stay at my weight",
    "stayed the same",
];
const SUCCESS: &[&str] = &[
    "i lost",
    "i've lost",
    "have lost",
    "i'm down",
    "i reached",
    "i've reached",
    "hit my goal",
    "hit my target",
    "proud",
    "i managed",
    "i did it",
    "stuck to",
    "kept to",
    "great week",
    "good week",
    "went well",
    "success*",
    "victory",
    "milestone",
    "walked every day",
];
const CHECK_IN: &[&str] = &[
    "check in",
    "checking in",
    "checkin",
    "weighed in",
    "weigh in",
    "update",
    "today i",
    "this week",
    "my week",
    "weighed myself",
];
const MEAL: &[&str] = &[
    "breakfast",
    "lunch",
    "dinner",
    "supper",
    "meal*",
    "recipe*",
    "snack*",
    "eat",
    "eating",
    "food*",
    "protein",
    "cook*",
    "vegetable*",
    "calorie*",
    "diet",
    "drink*",
    "restaurant",
    "party",
];
const EXERCISE: &[&str] = &[
    "exercis*", "workout*", "work out", "walk*", "run", "running", "gym", "steps", "strength", "training", "swim*",
    "cycl*", "yoga", "sport*",
];
const GREETING: &[&str] = &["hello", "hi", "hey", "hiya", "good morning", "good afternoon", "good evening", "dia duit"];
const THANKS: &[&str] = &["thanks", "thank you", "cheers", "bye", "goodbye", "good night", "see you"];

/// Whether `text` speaks of a danger that goes before anything else one could answer.
pub(super) fn is_danger(text: &str) -> bool {
    danger(&Words::of(text)).is_some()
}

/// The coach's answer to `text`.
pub(super) fn answer(text: &str, manner: Manner<'_>) -> String {
    let words = Words::of(text);
    let introduces = {
        let told = Facts::gather(std::iter::once(text));
        (told.name.is_some() || told.goal.is_some()) && !text.contains('?')
    };
    let topic = match topic(&words, introduces) {
        Topic::Plateau if manner.style.maintaining => Topic::Maintenance,
        topic => topic,
    };
    compose(topic, manner)
}

/// How the coach goes on after having answered from memory.
pub(super) fn look_forward(manner: Manner<'_>) -> &'static str {
    forward(manner.style.tone, manner.turn)
}

fn topic(words: &Words, introduces: bool) -> Topic {
    if let Some(danger) = danger(words) {
        return danger;
    }
    if words.has_any(OPENING) {
        return Topic::Opening;
    }
    if asks_large_loss(words) {
        return Topic::LargeLoss;
    }
    let lapse = words.has_any(LAPSE);
    if lapse && words.has_any(LOGGING) {
        return Topic::HonestLogging;
    }
    let by_words: [(&[&str], Topic); 8] = [
        (APPETITE, Topic::Appetite),
        (MEDICATION, Topic::Medication),
        (MOTIVATION, Topic::Motivation),
        (LAPSE, Topic::Lapse),
        (PLATEAU, Topic::Plateau),
        (MAINTENANCE, Topic::Maintenance),
        (SUCCESS, Topic::Success),
        (LOGGING, Topic::HonestLogging),
    ];
    if let Some((_, topic)) = by_words.iter().find(|(phrases, _)| words.has_any(phrases)) {
        return *topic;
    }
    if introduces {
        return Topic::Introduction;
    }
    let everyday: [(&[&str], Topic); 4] =
        [(CHECK_IN, Topic::CheckIn), (EXERCISE, Topic::Exercise), (MEAL, Topic::Meal), (THANKS, Topic::Thanks)];
    if let Some((_, topic)) = everyday.iter().find(|(phrases, _)| words.has_any(phrases)) {
        return *topic;
    }
    if is_greeting(words) { Topic::Greeting } else { Topic::Other }
}

fn danger(words: &Words) -> Option<Topic> {
    let dangers: [(&[&str], Topic); 4] = [
        (SELF_HARM, Topic::SelfHarm),
        (EMERGENCY, Topic::Emergency),
        (EATING_DISORDER, Topic::EatingDisorder),
        (LOW_MOOD, Topic::LowMood),
    ];
    let harmless = words.has_any(&["binge watch*", "binge watching"]);
    dangers
        .iter()
        .find(|(phrases, topic)| words.has_any(phrases) && !(harmless && *topic == Topic::EatingDisorder))
        .map(|(_, topic)| *topic)
        .or_else(|| eats_too_little(words).then_some(Topic::TooLittle))
}

/// Whether a message is a greeting and little else.
pub(super) fn is_greeting(words: &Words) -> bool {
    words.count() <= 6 && words.has_any(GREETING)
}

/// Whether a message is an app's note that the conversation begins.
pub(super) fn is_opening(words: &Words) -> bool {
    words.has_any(OPENING)
}

fn asks_large_loss(words: &Words) -> bool {
    if !words.has_any(&["lose", "losing", "drop", "shed"]) {
        return false;
    }
    let rapid = words.has_any(&[
        "fast",
        "quickly",
        "as fast as*",
        "rapid*",
        "in a week",
        "in one week",
        "in two weeks",
        "in 2 weeks",
        "by next week",
        "overnight",
        "crash diet",
    ]);
    let kilograms = quantity(words, &["kg", "kgs", "kilo", "kilos", "kilograms"])
        .or_else(|| Some(quantity(words, &["lb", "lbs", "pounds"])? * 0.4536))
        .or_else(|| Some(quantity(words, &["stone", "st"])? * 6.35));
    rapid || kilograms.is_some_and(|kilograms| kilograms > LARGE_LOSS_KILOGRAMS)
}

fn eats_too_little(words: &Words) -> bool {
    let a_day = ["only", "a day", "per day", "today", "all day", "daily", "been eating"];
    let counted = quantity(words, &["calories", "kcal", "cals", "kilocalories"])
        .is_some_and(|energy| (1.0..TOO_FEW_KILOCALORIES).contains(&energy));
    words.has_any(TOO_LITTLE) || (counted && words.has_any(&a_day))
}

/// The number before the first of `units`, apart or joined (`20 kg`, `20kg`).
fn quantity(words: &Words, units: &[&str]) -> Option<f64> {
    let mut before = None;
    for word in words.iter() {
        if units.contains(&word) {
            return before;
        }
        if let Some(number) = units.iter().find_map(|unit| word.strip_suffix(unit)?.parse().ok()) {
            return Some(number);
        }
        before = word.parse().ok();
    }
    None
}

fn compose(topic: Topic, manner: Manner<'_>) -> String {
    if let Some(referral) = referral(topic) {
        return addressed(referral, manner.facts);
    }
    let opener = addressed(opener(topic, manner.style.tone), manner.facts);
    let substance = substance(topic, manner.style.on_glp1);
    let challenge = if manner.style.challenges { challenge(topic) } else { "" };
    let forward = forward(manner.style.tone, manner.turn);
    [opener.as_str(), substance, challenge, forward]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A little game for those who like one, about habits and never about weight.
fn challenge(topic: Topic) -> &'static str {
    match topic {
        Topic::CheckIn | Topic::Success | Topic::Maintenance | Topic::Exercise => {
            "A challenge, if you like: keep one habit three days in a row and call it a streak."
        }
        _ => "",
    }
}

/// Puts the user's name where the line has a place for it.
fn addressed(line: &str, facts: &Facts) -> String {
    match &facts.name {
        Some(name) => line.replace("{name}", &format!(", {name}")),
        None => line.replace("{name}", ""),
    }
}

/// Answers that stand alone: no tone, no tips, a way to help.
fn referral(topic: Topic) -> Option<&'static str> {
    match topic {
        Topic::SelfHarm => Some(
            "I'm really glad you told me{name}, and I'm worried about you. This is more than coaching \
             can carry, and you don't have to carry it alone: please call 112 or your local emergency \
             number now if you might act on this, or talk to someone at once, for example the \
             Samaritans on 116 123 in Ireland and the UK, free at any hour. If you can, stay with a \
             person you trust until you have spoken to somebody. Weight can wait; you matter, and I'm \
             here when you want to go on.",
        ),
        Topic::Emergency => Some(
            "What you describe can be an emergency{name}, and it needs a medical professional now, not \
             a coach. Please call 112 or your local emergency number, or have someone take you to the \
             nearest emergency department, and don't drive yourself. Everything about weight can wait \
             until you are safe and looked after.",
        ),
        Topic::EatingDisorder => Some(
            "Thank you for trusting me with this{name}; it takes courage to say. What you describe \
             deserves care from people trained for it, so please talk to your GP or an eating-disorder \
             service soon, and let's not work on losing weight until you have. There is no blame in \
             any of it, and people do get better with the right help. Is there someone you could call \
             today?",
        ),
        Topic::LowMood => Some(
            "I'm sorry it is this heavy right now{name}, and I'm glad you said so. Feelings like these \
             deserve proper support, so please talk to your GP or a mental-health professional, and if \
             it ever feels unsafe, call 112 or the Samaritans on 116 123 straight away. Nothing about \
             food or weight has to be solved today. Who could you let know how you feel?",
        ),
        Topic::TooLittle => Some(
            "I'm a little worried by how little that is{name}, because a body needs more than that to \
             keep its muscle, its mood and its health. Please talk to your GP or dietitian before \
             going on like this; they can find a level that is safe for you. Gentle and steady is what \
             lasts, so what could one proper, nourishing meal look like next?",
        ),
        _ => None,
    }
}

fn opener(topic: Topic, tone: Tone) -> &'static str {
    match topic {
        Topic::Lapse | Topic::Plateau | Topic::Motivation => match tone {
            Tone::Gentle => "Thank you for telling me{name}; that sounds hard, and it says nothing bad about you.",
            Tone::Pragmatic => "Okay{name}, this happens to everyone, and it is information we can use.",
            Tone::Upbeat => "You showed up and said it{name}, and that already counts for a lot!",
            Tone::Structured => {
                "Thanks{name}; let's look at it in order: what happened, what it tells us, what comes next."
            }
        },
        Topic::HonestLogging => match tone {
            Tone::Gentle => "Thank you for being so honest{name}; that takes courage.",
            Tone::Pragmatic => "Good that you logged it{name}; honest data is the useful kind.",
            Tone::Upbeat => "Writing it down even when it stings is a real win{name}!",
            Tone::Structured => "Logged{name}, and that is step one done.",
        },
        Topic::Success | Topic::Maintenance => match tone {
            Tone::Gentle => "That is lovely to hear{name}, and you can be quietly proud of it.",
            Tone::Pragmatic => "That's solid{name}; what you are doing works.",
            Tone::Upbeat => "Brilliant{name}, that is well worth celebrating!",
            Tone::Structured => "Noted as a success{name}; let's keep what made it possible.",
        },
        Topic::Opening | Topic::Greeting => match tone {
            Tone::Gentle => "Hello{name}, it's good to have you here.",
            Tone::Pragmatic => "Hello{name}, good to see you.",
            Tone::Upbeat => "Hello{name}, great to see you!",
            Tone::Structured => "Hello{name}, let's begin with a short check-in.",
        },
        Topic::Introduction => match tone {
            Tone::Gentle => "It's good to meet you{name}, and thank you for sharing that.",
            Tone::Pragmatic => "Good to meet you{name}; that's clear, and I'll keep it in mind.",
            Tone::Upbeat => "Wonderful to meet you{name}, and what a good place to start!",
            Tone::Structured => "Good to meet you{name}; noted as our starting point.",
        },
        Topic::Thanks => "You're very welcome{name}.",
        _ => match tone {
            Tone::Gentle => "I'm glad you brought that up{name}.",
            Tone::Pragmatic => "Fair point{name}; let's look at it.",
            Tone::Upbeat => "I love that you're on this{name}!",
            Tone::Structured => "Good{name}; let's take it step by step.",
        },
    }
}

fn substance(topic: Topic, on_glp1: bool) -> &'static str {
    match topic {
        Topic::Lapse => {
            "One setback doesn't undo your progress; it shows what was difficult, and that is something to learn from."
        }
        Topic::HonestLogging => "A lapse that is written down has already turned into something to learn from.",
        Topic::Plateau => {
            "A plateau is normal: as a body gets lighter it needs a little less, and water can hide a \
             change for weeks. Look at the trend of three or four weeks and not at single days. Two \
             things often help: protein at every meal, and a bit of strength work to keep your muscle. \
             Sleep and stress count too, so be as kind to those as to your plate."
        }
        Topic::Motivation => {
            "Motivation comes and goes for everyone; small habits that need little of it are what carries you."
        }
        Topic::Maintenance => {
            "Holding steady is success in itself, and the habits that got you here are the ones that keep it."
        }
        Topic::Success => "Notice what helped, because that is worth more than any number on a scale.",
        Topic::CheckIn => "Showing up for a check-in is a habit that pays, whatever the number says.",
        Topic::Introduction => "Slow and steady is what lasts, and we can shape it around your life.",
        Topic::Appetite if on_glp1 => {
            "On your medicine a smaller appetite is the medicine at work, not a matter of willpower, \
             either way. When you eat less, quality counts: protein first at each meal, then vegetables \
             and fruit, and water through the day. A little strength work keeps your muscle. If you can \
             hardly eat or drink, or feel unwell, tell whoever prescribes it for you."
        }
        Topic::Appetite => {
            "Hunger is a signal and not a failing. Protein and fibre at each meal keep you full for \
             longer, regular meals stop it from building up, and a glass of water and ten minutes often \
             show whether it is hunger or a craving. Poor sleep makes it louder, so an early night is \
             worth a try."
        }
        Topic::Medication => {
            "Anything about medicines, doses, side effects or a diagnosis belongs to your doctor or \
             pharmacist, so please ask them before you change anything. Until then I can help with what \
             surrounds it: gentle meals, protein, enough to drink, and notes of what you feel and when, \
             which are gold in an appointment."
        }
        Topic::LargeLoss => {
            "For a loss of that size or speed, please have a doctor or dietitian beside you from the \
             start: they can check that it is safe for you and what to watch. What lasts is gradual, \
             about half a kilo a week for most people, and every small step of it counts. I can help \
             you with the daily part: meals, movement and the days that go wrong."
        }
        Topic::Meal => {
            "A simple way to build a meal: half the plate vegetables or salad, a quarter protein such \
             as eggs, fish, beans or chicken, and a quarter whole grains or potatoes. Pick foods you \
             like, because those are the ones you will go on eating. Planning two or three easy meals \
             ahead takes the pressure out of tired evenings."
        }
        Topic::Exercise => {
            "The best exercise is the one you will do again. A brisk walk of ten or fifteen minutes \
             after a meal is a fine start, and two short strength sessions a week keep your muscle \
             while weight changes. Add a little at a time, and if you have pain or a condition, ask your \
             doctor first what suits you."
        }
        Topic::Opening | Topic::Greeting => "I'm here for the good days and for the difficult ones alike.",
        Topic::Thanks => "You are doing the work; I only walk beside you.",
        _ => "Tell me a little more about what is on your mind, so that we can find one step that fits your life.",
    }
}

/// The last line: always one that looks ahead.
fn forward(tone: Tone, turn: usize) -> &'static str {
    let lines = match tone {
        Tone::Gentle => [
            "What is one small, kind thing you could do for yourself next?",
            "What would feel manageable for tomorrow?",
            "Shall we choose one gentle step for the days ahead?",
        ],
        Tone::Pragmatic => [
            "What is the next thing you can realistically do?",
            "Pick one change for tomorrow, and we'll see how it goes.",
            "Which step would make this week easier?",
        ],
        Tone::Upbeat => [
            "What's your next little win going to be?",
            "Ready to pick one fun step for tomorrow?",
            "Let's make the next day a good one; what will you try first?",
        ],
        Tone::Structured => [
            "Next step: choose one action, a day and a time for it.",
            "For tomorrow: one action, written down; which one will it be?",
            "Let's fix one step for this week and review it at your next check-in.",
        ],
    };
    lines[turn % lines.len()]
}

#[cfg(test)]
mod tests {
    use super::{Facts, Manner, Style, Tone, Topic, Words, answer, topic};

    const GENTLE: Style = Style { tone: Tone::Gentle, on_glp1: false, maintaining: false, challenges: false };

    fn topic_of(text: &str) -> Topic {
        topic(&Words::of(text), false)
    }

    #[test]
    fn messages_are_sorted_by_what_they_are_about() {
        for (text, expected) in [
            ("I had a setback today", Topic::Lapse),
            ("I ate too much but I logged it all", Topic::HonestLogging),
            ("I've hit a plateau, the scale hasn't moved", Topic::Plateau),
            ("Just checking in", Topic::CheckIn),
            ("I lost 1 kg this week!", Topic::Success),
            ("How do I keep it off?", Topic::Maintenance),
            ("I have no appetite on my injection", Topic::Appetite),
            ("I've lost all motivation", Topic::Motivation),
            ("What should I have for breakfast?", Topic::Meal),
            ("Is walking enough exercise?", Topic::Exercise),
            ("Should I double my dose of Wegovy?", Topic::Medication),
            ("I want to lose 30kg", Topic::LargeLoss),
            ("How can I lose 5 kg in a week?", Topic::LargeLoss),
            ("I want to lose 4 stone", Topic::LargeLoss),
            ("I only eat 500 calories a day", Topic::TooLittle),
            ("I skipped meals to be lighter", Topic::TooLittle),
            ("I ate a whole cake and feel awful", Topic::Lapse),
            ("Hi there!", Topic::Greeting),
            ("The user has just opened the app. Greet them.", Topic::Opening),
            ("Thanks a lot", Topic::Thanks),
            ("The weather is strange", Topic::Other),
        ] {
            assert_eq!(topic_of(text), expected, "{text}");
        }
    }

    #[test]
    fn danger_goes_before_everything_else() {
        for (text, expected) in [
            ("I had a setback and I want to die", Topic::SelfHarm),
            ("I keep thinking about ending my life", Topic::SelfHarm),
            ("I feel really down lately", Topic::LowMood),
            ("chest pain after my workout", Topic::Emergency),
            ("I logged lunch and then made myself sick", Topic::EatingDisorder),
            ("I feel hopeless about my diet", Topic::LowMood),
        ] {
            assert_eq!(topic_of(text), expected, "{text}");
        }
        assert_ne!(topic_of("I binge watched a series instead of walking"), Topic::EatingDisorder);
    }

    #[test]
    fn a_setback_is_met_in_the_tone_that_is_asked_for() {
        let facts = Facts { name: Some("Aoife".into()), goal: None };
        let said = [Tone::Gentle, Tone::Pragmatic, Tone::Upbeat, Tone::Structured].map(|tone| {
            let manner = Manner { style: Style { tone, ..GENTLE }, facts: &facts, turn: 1 };
            answer("I had a setback today", manner)
        });
        insta::assert_snapshot!(said.join("\n"), @"
        Thank you for telling me, Aoife; that sounds hard, and it says nothing bad about you. One setback doesn't undo your progress; it shows what was difficult, and that is something to learn from. What would feel manageable for tomorrow?
        Okay, Aoife, this happens to everyone, and it is information we can use. One setback doesn't undo your progress; it shows what was difficult, and that is something to learn from. Pick one change for tomorrow, and we'll see how it goes.
        You showed up and said it, Aoife, and that already counts for a lot! One setback doesn't undo your progress; it shows what was difficult, and that is something to learn from. Ready to pick one fun step for tomorrow?
        Thanks, Aoife; let's look at it in order: what happened, what it tells us, what comes next. One setback doesn't undo your progress; it shows what was difficult, and that is something to learn from. For tomorrow: one action, written down; which one will it be?
        ");
    }

    #[test]
    fn on_a_glp1_medicine_appetite_is_not_willpower() {
        let manner = Manner { style: Style { on_glp1: true, ..GENTLE }, facts: &Facts::default(), turn: 1 };
        insta::assert_snapshot!(answer("I'm never hungry any more", manner), @"I'm glad you brought that up. On your medicine a smaller appetite is the medicine at work, not a matter of willpower, either way. When you eat less, quality counts: protein first at each meal, then vegetables and fruit, and water through the day. A little strength work keeps your muscle. If you can hardly eat or drink, or feel unwell, tell whoever prescribes it for you. What would feel manageable for tomorrow?");
    }

    #[test]
    fn who_keeps_a_weight_has_no_plateau() {
        let style = Style { maintaining: true, ..GENTLE };
        let manner = Manner { style, facts: &Facts::default(), turn: 1 };
        insta::assert_snapshot!(answer("The scale hasn't moved in weeks", manner), @"That is lovely to hear, and you can be quietly proud of it. Holding steady is success in itself, and the habits that got you here are the ones that keep it. What would feel manageable for tomorrow?");
    }

    #[test]
    fn who_likes_challenges_is_offered_one_about_habits() {
        let style = Style { challenges: true, ..GENTLE };
        let manner = Manner { style, facts: &Facts::default(), turn: 1 };
        insta::assert_snapshot!(answer("Just checking in", manner), @"I'm glad you brought that up. Showing up for a check-in is a habit that pays, whatever the number says. A challenge, if you like: keep one habit three days in a row and call it a streak. What would feel manageable for tomorrow?");
    }
}
