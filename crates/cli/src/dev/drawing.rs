//! Trees of spans as lines of text: what was done, when within the turn, how long it took, and what matters of it.

use std::io::{IsTerminal as _, stdout};
use std::time::Duration;

use agentcore_local::traces::Span;
use agentcore_runtime::core::signal::attribute;
use serde_json::Value;

use super::trees::{Grown, Row};

/// How wide a turn's time is, in characters.
const BAR: usize = 24;

/// The widest name, in characters; a longer one is cut.
const NAME: usize = 52;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// For a terminal.
    Colours,
    /// For a pipe, and who asks for none.
    Plain,
}

/// What is painted.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Time,
    Trouble,
    Detail,
}

/// The time a turn took, of which bars are parts.
#[derive(Debug, Clone, Copy)]
struct Whole {
    began: u64,
    ended: u64,
}

/// Draws whatever has grown.
pub(super) fn draw(grown: &[Grown], paint: Paint) -> Vec<String> {
    grown.iter().flat_map(|grown| lines(grown, paint)).collect()
}

fn lines(grown: &Grown, paint: Paint) -> Vec<String> {
    match grown {
        Grown::Tree { heading, rows } => {
            let whole = Whole::of(rows);
            let width = rows.iter().map(|row| row.name().chars().count()).max().unwrap_or_default();
            let rows = rows.iter().map(|row| line(row, width, whole, paint));
            std::iter::once(heading.clone()).chain(rows).collect()
        }
        Grown::Late { owner, span } => {
            let details = details(span, paint);
            vec![format!("{owner}  later {}   {}{details}", cut(&span.name), time(span)).trim_end().to_owned()]
        }
    }
}

fn line(row: &Row, width: usize, whole: Whole, paint: Paint) -> String {
    let Row { span, .. } = row;
    let tone = if trouble(span).is_some() { Tone::Trouble } else { Tone::Time };
    let (before, during) = whole.cells(span);
    let bar = paint.paint(tone, &"━".repeat(during));
    let (before, after) = (" ".repeat(before), " ".repeat(BAR - before - during));
    let line = format!(
        "  {name:<width$}  {before}{bar}{after} {time:>9}{details}",
        name = row.name(),
        time = time(span),
        details = details(span, paint)
    );
    line.trim_end().to_owned()
}

// === impl Row ===

impl Row {
    fn name(&self) -> String {
        cut(&format!("{}{}", self.branches, self.span.name))
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

/// How long it took, in milliseconds, with a tenth where that is much of it.
fn time(span: &Span) -> String {
    let took = Duration::from_nanos(span.ended - span.began).as_secs_f64() * 1e3;
    if took < 9.95 { format!("{took:.1} ms") } else { format!("{took:.0} ms") }
}

// === impl Whole ===

impl Whole {
    fn of(rows: &[Row]) -> Self {
        let began = rows.iter().map(|row| row.span.began).min().unwrap_or_default();
        let ended = rows.iter().map(|row| row.span.ended).max().unwrap_or_default();
        Self { began, ended }
    }

    /// How many characters come before a span's time, and how many it takes: one at the least.
    fn cells(self, span: &Span) -> (usize, usize) {
        let all = u128::from((self.ended - self.began).max(1));
        let part = |moment: u64| u128::from(moment - self.began) * BAR as u128;
        let first = usize::try_from(part(span.began) / all).unwrap_or(BAR).min(BAR - 1);
        let end = usize::try_from(part(span.ended).div_ceil(all)).unwrap_or(BAR).min(BAR);
        (first, end.saturating_sub(first).max(1))
    }
}

/// What matters of a span, beside its name and its time.
fn details(span: &Span, paint: Paint) -> String {
    let text = |name| span.attribute(name).and_then(Value::as_str);
    let count = |name| span.attribute(name).and_then(Value::as_u64);
    let number = |name| span.attribute(name).and_then(Value::as_f64);
    let mut parts = Vec::new();
    let model = text(attribute::RESPONSE_MODEL).or_else(|| text(attribute::REQUEST_MODEL));
    // Most names have it already.
    parts.extend(
        model.into_iter().chain(text(attribute::TOOL)).filter(|name| !span.name.contains(name)).map(str::to_owned),
    );
    parts.extend(number(attribute::FIRST_TOKEN).map(|seconds| format!("first token {:.0} ms", seconds * 1e3)));
    if let (Some(input), Some(output)) = (count(attribute::INPUT_TOKENS), count(attribute::OUTPUT_TOKENS)) {
        parts.push(format!("{input} in  {output} out"));
    }
    let cached = count(attribute::CACHE_READ_TOKENS).filter(|cached| *cached > 0);
    parts.extend(cached.map(|cached| format!("{cached} from cache")));
    parts.extend(number(attribute::USD).map(|usd| format!("{usd:.4} USD")));
    parts.extend(
        count(attribute::ATTEMPTS).filter(|attempts| *attempts > 1).map(|attempts| format!("{attempts} attempts")),
    );
    parts.extend(count(attribute::TURNS).map(|turns| format!("{turns} {}", if turns == 1 { "turn" } else { "turns" })));
    parts.extend(text(attribute::STOP_REASON).map(str::to_owned));
    if span.attribute(attribute::REUSED) == Some(&Value::Bool(true)) {
        parts.push("an answer given again".to_owned());
    }
    parts.extend(flagged(text(attribute::SAFETY_SEVERITY), text(attribute::SAFETY_ACTION)));
    let details = parts.into_iter().map(|part| paint.paint(Tone::Detail, &part));
    let trouble = trouble(span).map(|trouble| paint.paint(Tone::Trouble, &trouble));
    details.chain(trouble).fold(String::new(), |line, part| line + "   " + &part)
}

fn flagged(severity: Option<&str>, action: Option<&str>) -> Option<String> {
    let severity = severity.filter(|severity| *severity != "none")?;
    Some(format!("safety: {severity}, {}", action.unwrap_or("none")))
}

/// What went wrong, in a word where there is one.
fn trouble(span: &Span) -> Option<String> {
    let kind = span.attribute(attribute::ERROR).and_then(Value::as_str);
    let words = span.failure.as_deref().filter(|words| !words.is_empty());
    let failed = span.failure.is_some() || kind.is_some();
    failed.then(|| kind.or(words).map_or_else(|| "failed".to_owned(), |why| format!("failed: {why}")))
}

// === impl Paint ===

impl Paint {
    /// As whoever reads standard output likes it.
    pub(super) fn of_standard_output() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stdout().is_terminal() && !unwanted { Self::Colours } else { Self::Plain }
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Time => 36,
            Tone::Trouble => 31,
            Tone::Detail => 2,
        };
        match self {
            Self::Colours => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trees::{Trees, tests::span};
    use super::*;

    fn turn() -> Vec<Span> {
        let model = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";
        let chat = |input: u64, output: u64, attempts: u64| {
            vec![
                ("gen_ai.request.model", Value::from(model)),
                ("gen_ai.response.model", model.into()),
                ("gen_ai.usage.input_tokens", input.into()),
                ("gen_ai.usage.output_tokens", output.into()),
                ("agentcore.first_token_seconds", 0.007.into()),
                ("agentcore.attempts", attempts.into()),
            ]
        };
        let invoked = [
            ("gen_ai.agent.name", Value::from("coach_companion")),
            ("session.id", "4f0c-and-more".into()),
            ("gen_ai.usage.input_tokens", 412.into()),
            ("gen_ai.usage.output_tokens", 90.into()),
            ("agentcore.usd", 0.002_586.into()),
            ("agentcore.stop_reason", "end_turn".into()),
            ("agentcore.safety.severity", "moderate".into()),
            ("agentcore.safety.action", "annotated".into()),
        ];
        let tool = [("gen_ai.tool.name", Value::from("look_up_food")), ("error.type", "TimedOut".into())];
        vec![
            span(2, 1, "read_memory", (0, 2), &[("agentcore.turns", 3.into())]),
            span(3, 1, "guard", (2, 2), &[]),
            span(4, 1, &format!("chat {model}"), (2, 20), &chat(212, 58, 2)),
            span(5, 1, "execute_tool look_up_food", (20, 25), &tool),
            span(6, 1, &format!("chat {model}"), (25, 40), &chat(200, 32, 1)),
            span(7, 1, "write_memory", (40, 42), &[]),
            span(1, 0, "invoke_agent coach_companion", (0, 42), &invoked),
        ]
    }

    #[test]
    fn a_turn_is_a_tree_with_its_time_as_bars() {
        let mut trees = Trees::default();
        insta::assert_snapshot!(draw(&trees.take(&turn()), Paint::Plain).join("\n"), @"
        coach_companion  4f0c…  trace 07070707070707070707070707070707
          invoke_agent coach_companion                         ━━━━━━━━━━━━━━━━━━━━━━━━     42 ms   412 in  90 out   0.0026 USD   end_turn   safety: moderate, annotated
          ├ read_memory                                        ━━                          2.0 ms   3 turns
          ├ guard                                               ━                          0.0 ms
          ├ chat eu.anthropic.claude-3-5-sonnet-20240620-v1:0   ━━━━━━━━━━━                 18 ms   first token 7 ms   212 in  58 out   2 attempts
          ├ execute_tool look_up_food                                     ━━━━             5.0 ms   failed: TimedOut
          ├ chat eu.anthropic.claude-3-5-sonnet-20240620-v1:0                ━━━━━━━━━      15 ms   first token 7 ms   200 in  32 out
          └ write_memory                                                             ━━    2.0 ms
        ");
        let late = [span(
            9,
            1,
            "chat amazon.nova-lite",
            (45, 60),
            &[("gen_ai.usage.input_tokens", 80.into()), ("gen_ai.usage.output_tokens", 20.into())],
        )];
        insta::assert_snapshot!(draw(&trees.take(&late), Paint::Plain).join("\n"), @"coach_companion  4f0c…  later chat amazon.nova-lite   15 ms   80 in  20 out");
    }

    #[test]
    fn a_terminal_gets_colours_for_time_trouble_and_what_is_beside_the_point() {
        let drawn = draw(&Trees::default().take(&turn()), Paint::Colours).join("\n");
        let tool = drawn.lines().find(|line| line.contains("execute_tool")).expect("the tool's line");
        insta::assert_snapshot!(tool.replace('\u{1b}', "<esc>"), @"  ├ execute_tool look_up_food                                     <esc>[31m━━━━<esc>[0m             5.0 ms   <esc>[31mfailed: TimedOut<esc>[0m");
    }

    #[test]
    fn somebody_elses_spans_are_drawn_with_what_they_have() {
        let mut failed = span(2, 1, &"a very long name of a span ".repeat(4), (5, 5), &[]);
        failed.failure = Some(String::new());
        let chat = [("gen_ai.request.model", Value::from("gpt-oss")), ("gen_ai.usage.input_tokens", "many".into())];
        let spans = [failed, span(3, 1, "chat", (5, 1_205), &chat), span(1, 0, "invoke_agent", (0, 1_500), &[])];
        insta::assert_snapshot!(draw(&Trees::default().take(&spans), Paint::Plain).join("\n"), @"
        an agent  …  trace 07070707070707070707070707070707
          invoke_agent                                          ━━━━━━━━━━━━━━━━━━━━━━━━   1500 ms
          ├ a very long name of a span a very long name of a …  ━                           0.0 ms   failed
          └ chat                                                ━━━━━━━━━━━━━━━━━━━━       1200 ms   gpt-oss
        ");
    }

    #[test]
    fn a_turn_that_took_no_time_has_bars_all_the_same() {
        let spans = [span(2, 1, "guard", (5, 5), &[]), span(1, 0, "invoke_agent x", (5, 5), &[])];
        insta::assert_snapshot!(draw(&Trees::default().take(&spans), Paint::Plain).join("\n"), @"
        x  …  trace 07070707070707070707070707070707
          invoke_agent x  ━                           0.0 ms
          └ guard         ━                           0.0 ms
        ");
    }
}
