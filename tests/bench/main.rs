//! The agents beside those they replace, in one run: `cargo bench -p vitracka --bench side_by_side`.
//!
//! All answer the same question with the same words of the same fake Bedrock, which runs in a process of its own and
//! does next to nothing. Contenders take turns, so that what else the machine does falls on all of them. What is
//! recorded of every load is not only what the clients saw, but also the CPU that each process took: where the fake or
//! the clients took nearly a processor, they were what was measured, and the report says so.
//!
//! The report is `target/bench/report.json` and `report.html`, with a verdict on each bar of [`bars`].

mod bars;
mod chapters;
mod contender;
mod fake_bedrock;
mod floor;
mod load;
mod report;
mod subject;

/// How Python's packages are installed: from the system tests.
#[expect(dead_code, unused_imports, reason = "the system tests, whose these are, need more of them")]
#[path = "../system"]
mod system {
    pub(crate) mod foreign;
    pub(crate) mod process;
}

use system::process;

use std::error::Error;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use self::contender::{Bench, Contender};
use self::report::Report;

/// What went wrong, for a person at a terminal.
type Failure = Box<dyn Error + Send + Sync>;

/// The agents beside those they replace.
#[derive(Debug, Parser)]
struct Arguments {
    /// Chapters to run, all without it.
    #[arg(value_enum)]
    chapters: Vec<Chapter>,
    /// Seconds of each load; starts and growth are scaled with it.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Who is measured, all without it. Bars need both sides.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Where cargo says that this is a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the programs of a run instead.
    #[arg(long, hide = true, value_enum)]
    play: Option<Play>,
    /// To a model's first token, in milliseconds.
    #[arg(long, hide = true, default_value_t = 0)]
    first_token: u64,
    /// Between two tokens, in milliseconds.
    #[arg(long, hide = true, default_value_t = 0)]
    token: u64,
    /// Where the fake Bedrock is.
    #[arg(long, hide = true, default_value_t = 0)]
    bedrock: u16,
}

/// What a run consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chapter {
    /// From exec to the first healthy ping and to the first answer.
    Start,
    /// Latency, throughput and CPU at 1 to 1000 clients, the model at once.
    Load,
    /// Time to first token and pings with a model of realistic pace.
    Pace,
    /// Memory, idle and with sessions.
    Memory,
    /// Growth with history, tool rounds, payload and sessions.
    Growth,
    /// Size of what ships.
    Size,
}

/// Programs of a run that this one is itself.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Play {
    FakeBedrock,
    Floor,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    match arguments.play {
        Some(Play::FakeBedrock) => fake_bedrock::serve(fake_bedrock::Pace {
            first_token: Duration::from_millis(arguments.first_token),
            token: Duration::from_millis(arguments.token),
        }),
        Some(Play::Floor) => floor::serve(arguments.bedrock),
        None => run(&arguments),
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chapters = match arguments.chapters.as_slice() {
        [] => Chapter::value_variants(),
        some => some,
    };
    let bench = Bench::prepare(Duration::from_secs(arguments.seconds), &arguments.only)?;
    let mut report = Report::new(&bench);
    for chapter in chapters {
        eprintln!("== {chapter:?}");
        match chapter {
            Chapter::Start => report.starts = chapters::start::measure(&bench)?,
            Chapter::Load => chapters::load::measure(&bench, |outcome| {
                report.loads.push(outcome);
                report.write()
            })?,
            Chapter::Pace => chapters::pace::measure(&bench, |outcome| {
                report.paced.push(outcome);
                report.write()
            })?,
            Chapter::Memory => report.memory = chapters::memory::measure(&bench)?,
            Chapter::Growth => report.growth = chapters::growth::measure(&bench)?,
            Chapter::Size => report.sizes = chapters::size::measure(&bench)?,
        }
        report.write()?;
    }
    report.print();
    Ok(())
}
