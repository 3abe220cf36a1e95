//! Shows labelled messages to the sentinel and says how good it is.
//!
//! ```console
//! $ cargo run -p coach_companion --bin evaluate -- [held_out|development|tuning] [--misses] [--html FILE] [--json] [--check]
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use coach_companion::evaluation::cases::read_folder;
use coach_companion::evaluation::{Figures, Judged, Thresholds, html, judge, table};

const USAGE: &str = "evaluate [held_out|development|tuning] [--misses] [--html FILE] [--json] [--check]

  held_out    the messages that nothing was tuned on; what is evaluated where nothing is said
  development the messages that nothing was tuned on yet, and that may be looked at
  tuning      the messages that rules and classifier were made from
  --misses    lists every message that was not judged as it should be
  --html      writes a page with the confusion matrix and every miss
  --json      prints the figures as JSON
  --check     fails where evaluation/thresholds.toml is not met (held_out only)";

#[derive(Default)]
struct Asked {
    split: Option<String>,
    misses: bool,
    html: Option<String>,
    json: bool,
    check: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("evaluate: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(asked) = asked()? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let split = asked.split.as_deref().unwrap_or("held_out");
    let cases = read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation").join(split))?;
    let judged: Vec<Judged> = cases.into_iter().map(judge).collect();
    let figures = Figures::of(&judged);
    if asked.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", table::table(split, &figures, &judged, asked.misses));
    }
    if let Some(file) = &asked.html {
        let page = html::page(env!("CARGO_PKG_VERSION"), &[(split, &figures, &judged)]);
        std::fs::write(file, page).map_err(|error| format!("{file} cannot be written: {error}"))?;
    }
    let failures = if asked.check { figures.failures(&Thresholds::of_held_out()?) } else { Vec::new() };
    for failure in &failures {
        eprintln!("evaluate: {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was asked for; none where it was for help.
fn asked() -> Result<Option<Asked>, String> {
    let mut asked = Asked::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--misses" => asked.misses = true,
            "--json" => asked.json = true,
            "--check" => asked.check = true,
            "--html" => asked.html = Some(arguments.next().ok_or("--html needs the name of a file")?),
            "held_out" | "development" | "tuning" => asked.split = Some(argument),
            other => return Err(format!("{other:?} is not known\n\n{USAGE}")),
        }
    }
    if let Some(split) = asked.split.as_deref().filter(|split| asked.check && *split != "held_out") {
        return Err(format!("the thresholds are for held_out; leave out --check or {split}"));
    }
    Ok(Some(asked))
}
