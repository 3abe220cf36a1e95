//! Shows labelled messages to the sentinel and says how good it is.
//!
//! ```console
//! $ cargo run -p coach_companion --bin evaluate -- [held_out|development|tuning] [--with-second-reader] [--misses] [--html FILE] [--json] [--check]
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use coach_companion::evaluation::cases::{CasesError, read_folder};
use coach_companion::evaluation::reports::Reports;
use coach_companion::evaluation::{
    Figures, HeldOutThresholds, Judged, Thresholds, html, judge, judge_with_reports, table,
};

const USAGE: &str =
    "evaluate [held_out|development|tuning] [--with-second-reader] [--misses] [--html FILE] [--json] [--check]

  held_out    the messages that nothing has learned from; what is evaluated where nothing is said
  development others that nothing has learned from yet, and that may be looked at
  tuning      the messages that rules and classifier were made from
  --with-second-reader
              adds what a model reported of the messages of held_out, as with SECOND_OPINIONS=on (held_out only)
  --misses    lists every message that was not judged as it should be
  --html      writes a page with the confusion matrix and every miss
  --json      prints the figures as JSON
  --check     fails where evaluation/thresholds.toml is not met (held_out only)";

/// Who reads a message.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum ReadBy {
    #[default]
    Sentinel,
    SentinelAndModel,
}

#[derive(Default)]
struct Asked {
    split: Option<String>,
    read_by: ReadBy,
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
    let (named, judged) = read(split, asked.read_by)?;
    let figures = Figures::of(&judged);
    if asked.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", table::table(&named, &figures, &judged, asked.misses));
    }
    if let Some(file) = &asked.html {
        let page = html::page(env!("CARGO_PKG_VERSION"), &[(&named, &figures, &judged)]);
        std::fs::write(file, page).map_err(|error| format!("{file} cannot be written: {error}"))?;
    }
    let failures = if asked.check { figures.failures(&thresholds(asked.read_by)?) } else { Vec::new() };
    for failure in &failures {
        eprintln!("evaluate: {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn thresholds(read_by: ReadBy) -> Result<Thresholds, serde_json::Error> {
    let HeldOutThresholds { alone, with_second_reader } = HeldOutThresholds::read()?;
    Ok(match read_by {
        ReadBy::Sentinel => alone,
        ReadBy::SentinelAndModel => with_second_reader,
    })
}

/// A split's name in the report, and its messages as they were judged.
fn read(split: &str, read_by: ReadBy) -> Result<(String, Vec<Judged>), CasesError> {
    let evaluation = Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation");
    let cases = read_folder(&evaluation.join(split))?.into_iter();
    if read_by == ReadBy::Sentinel {
        return Ok((split.to_owned(), cases.map(judge).collect()));
    }
    let reports = Reports::read(&evaluation.join("reports").join(split).with_extension("txt"))?;
    Ok((format!("{split} with a second reader"), cases.map(|case| judge_with_reports(case, &reports)).collect()))
}

/// What was asked for; none where it was for help.
fn asked() -> Result<Option<Asked>, String> {
    let mut asked = Asked::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--with-second-reader" => asked.read_by = ReadBy::SentinelAndModel,
            "--misses" => asked.misses = true,
            "--json" => asked.json = true,
            "--check" => asked.check = true,
            "--html" => asked.html = Some(arguments.next().ok_or("--html needs the name of a file")?),
            "held_out" | "development" | "tuning" => asked.split = Some(argument),
            other => return Err(format!("{other:?} is not known\n\n{USAGE}")),
        }
    }
    if let Some(split) = asked.split.as_deref().filter(|split| *split != "held_out") {
        if asked.check {
            return Err(format!("the thresholds are for held_out; leave out --check or {split}"));
        }
        if asked.read_by == ReadBy::SentinelAndModel {
            return Err(format!("no model was asked about {split}; leave out --with-second-reader or {split}"));
        }
    }
    Ok(Some(asked))
}
