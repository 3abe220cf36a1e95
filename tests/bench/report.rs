//! What a run found, for a machine and for a reader.

use std::fmt::Write as _;
use std::fs;

use serde::Serialize;

use crate::Failure;
use crate::bars::{self, Bar};
use crate::chapters::growth::Growth;
use crate::chapters::load::CLIENTS;
use crate::chapters::memory::Memory;
use crate::chapters::size::Size;
use crate::chapters::start::Start;
use crate::contender::{Bench, Contender};
use crate::load::{Format, Outcome};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The processor, how many of it, and how long each load was held.
    machine: String,
    pub(crate) bars: Vec<Bar>,
    pub(crate) starts: Vec<Start>,
    pub(crate) loads: Vec<Outcome>,
    pub(crate) paced: Vec<Outcome>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) growth: Vec<Growth>,
    pub(crate) sizes: Vec<Size>,
}

/// How much of a processor the fake or the clients may take before they are what was measured.
const TELLING_SHARE: f64 = 0.9;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}\
    td:first-child,th:first-child{text-align:left}.met{color:#06702f}.missed{color:#b00020}\
    svg{display:block;margin:1em 0;max-width:100%}text{font:12px system-ui,sans-serif}";

const COLOURS: [&str; 6] = ["#0b6bcb", "#777777", "#c2410c", "#b00020", "#7c3aed", "#06702f"];

// === impl Report ===

impl Report {
    pub(crate) fn new(bench: &Bench) -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let names = processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let names: Vec<&str> = names.map(|(_, name)| name).collect();
        let name = names.first().copied().unwrap_or("an unnamed processor");
        let machine = format!("{} x {name}; loads of {} s", names.len().max(1), bench.time.as_secs());
        Self {
            machine,
            bars: Vec::new(),
            starts: Vec::new(),
            loads: Vec::new(),
            paced: Vec::new(),
            memory: Vec::new(),
            growth: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Judges what is known so far, and writes both files: a run that is broken off has not been for nothing.
    pub(crate) fn write(&mut self) -> Result<(), Failure> {
        self.bars = bars::judge(self);
        let folder = Bench::folder();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?;
        fs::write(folder.join("report.html"), self.page())?;
        Ok(())
    }

    /// Prints the bars, and where the rest is.
    pub(crate) fn print(&self) {
        println!("{}", self.machine);
        for bar in &self.bars {
            let verdict = if bar.is_met { "met   " } else { "MISSED" };
            println!("{verdict}  {:<52}{:>10.2}  ({})", bar.what, bar.measured, bar.aim.text());
        }
        for doubt in self.doubts() {
            println!("NOTE    {doubt}");
        }
        println!("{}", Bench::folder().join("report.html").display());
    }

    /// Loads whose figures say more of the bench than of who was measured, or that had failures.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for outcome in self.loads.iter().chain(&self.paced) {
            let load = format!("{}, {} clients, {:?}", outcome.contender.name(), outcome.clients, outcome.format);
            for (share, what) in outcome.shares[1..].iter().zip(["the fake Bedrock", "the clients"]) {
                if *share > TELLING_SHARE {
                    doubts.push(format!("{load}: {what} took {share:.2} of a processor"));
                }
            }
            if outcome.failures > 0 {
                doubts.push(format!("{load}: {} turns failed", outcome.failures));
            }
        }
        doubts
    }

    fn page(&self) -> String {
        let mut page = format!(
            "<!doctype html><meta charset=utf-8><title>Side by side</title><style>{STYLE}</style><h1>Side by side</h1>\
             <p>{}</p>",
            self.machine
        );
        page += &self.bars_table();
        for doubt in self.doubts() {
            let _ = write!(page, "<p class=missed>{doubt}</p>");
        }
        page += &self.starts_table();
        for format in [Format::Json, Format::Sse] {
            page += &self.loads_section(format);
        }
        page += &paced_table(&self.paced);
        page += &self.memory_table();
        page += &self.growth_section();
        page + &self.sizes_table()
    }

    fn bars_table(&self) -> String {
        let rows = self.bars.iter().map(|bar| {
            let (class, verdict) = if bar.is_met { ("met", "met") } else { ("missed", "missed") };
            vec![
                bar.what.to_owned(),
                bar.aim.text(),
                format!("{:.2}", bar.measured),
                format!("<span class={class}>{verdict}</span>"),
            ]
        });
        table("Bars", &["bar", "aim", "measured", ""], rows.collect())
    }

    fn starts_table(&self) -> String {
        let rows = self.starts.iter().map(|start| {
            let page_cache = format!("{:?}", start.page_cache).to_lowercase();
            let [ping, answer] = [start.ping, start.answer].map(|time| format!("{time:.1}"));
            vec![start.contender.name().to_owned(), page_cache, start.runs.to_string(), ping, answer]
        });
        let head = ["", "page cache", "runs", "exec to ping, ms", "exec to answer, ms"];
        table("Start", &head, rows.collect())
    }

    fn loads_section(&self, format: Format) -> String {
        let outcomes: Vec<&Outcome> = self.loads.iter().filter(|outcome| outcome.format == format).collect();
        let rows = outcomes.iter().map(|outcome| {
            let three = |quantiles: crate::load::Quantiles| {
                format!("{:.2} / {:.2} / {:.2}", quantiles.p50, quantiles.p99, quantiles.p999)
            };
            vec![
                outcome.contender.name().to_owned(),
                outcome.clients.to_string(),
                format!("{:.1}", outcome.turns_per_second),
                three(outcome.latency),
                three(outcome.ping),
                format!("{:.3}", outcome.cpu),
                outcome.shares.map(|share| format!("{share:.2}")).join(" / "),
                outcome.failures.to_string(),
            ]
        });
        let head = [
            "",
            "clients",
            "turns/s",
            "latency p50/p99/p99.9, ms",
            "ping, ms",
            "CPU s/1000 turns",
            "processors: it/fake/clients",
            "failed",
        ];
        let title = format!("A model that answers at once, {format:?}");
        let curve = |value: fn(&Outcome) -> f64| -> Vec<Curve> {
            Contender::ALL
                .into_iter()
                .map(|contender| Curve::of(contender.name(), contender, &outcomes, value))
                .collect()
        };
        table(&title, &head, rows.collect())
            + &chart("Turns a second by clients", &curve(|outcome| outcome.turns_per_second))
            + &chart("Latency p99 by clients, ms", &curve(|outcome| outcome.latency.p99))
    }

    fn memory_table(&self) -> String {
        let rows = self.memory.iter().map(|memory| {
            let mut row = vec![memory.contender.name().to_owned()];
            row.extend([memory.idle, memory.after_one, memory.after_many].map(|at| format!("{} / {}", at.rss, at.pss)));
            row.push(memory.sessions.to_string());
            row
        });
        let head = ["", "idle, RSS / PSS, KB", "after one session", "after many", "which are"];
        table("Memory", &head, rows.collect())
    }

    fn growth_section(&self) -> String {
        let rows = self.growth.iter().map(|point| {
            vec![
                point.of.to_owned(),
                point.contender.name().to_owned(),
                point.size.to_string(),
                format!("{:.2}", point.turn),
                point.rss.to_string(),
                point.peak.to_string(),
            ]
        });
        table("Growth", &["of", "", "size", "a turn, ms", "RSS, KB", "peak, KB"], rows.collect())
    }

    fn sizes_table(&self) -> String {
        let rows = self
            .sizes
            .iter()
            .map(|size| vec![size.contender.name().to_owned(), size.bytes.to_string(), size.files.to_string()]);
        table("What ships", &["", "bytes", "files"], rows.collect())
    }
}

fn paced_table(outcomes: &[Outcome]) -> String {
    let model = crate::chapters::pace::PACE.first_token.as_secs_f64() * 1000.0;
    let rows = outcomes.iter().map(|outcome| {
        vec![
            outcome.contender.name().to_owned(),
            outcome.clients.to_string(),
            format!("{:.2} / {:.2}", outcome.first_token.p50 - model, outcome.first_token.p99 - model),
            format!("{:.2} / {:.2}", outcome.ping.p50, outcome.ping.p99),
            format!("{:.3}", outcome.cpu),
            outcome.failures.to_string(),
        ]
    });
    let head =
        ["", "clients", "added to the first token p50/p99, ms", "ping p50/p99, ms", "CPU s/1000 turns", "failed"];
    table("A model of realistic pace, streamed", &head, rows.collect())
}

fn table(title: &str, head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |tag: &str, cells: Vec<String>| {
        let cells = cells.join(&format!("</{tag}><{tag}>"));
        format!("<tr><{tag}>{cells}</{tag}></tr>")
    };
    let head = line("th", head.iter().map(|&cell| cell.to_owned()).collect());
    let rows: String = rows.into_iter().map(|row| line("td", row)).collect();
    format!("<h2>{title}</h2><table>{head}{rows}</table>")
}

/// One line of a chart.
struct Curve {
    name: &'static str,
    /// Number of the load, and what it had there.
    points: Vec<(usize, f64)>,
}

impl Curve {
    fn of(name: &'static str, contender: Contender, outcomes: &[&Outcome], value: fn(&Outcome) -> f64) -> Self {
        let points = outcomes.iter().filter(|outcome| outcome.contender == contender);
        let place = |clients| CLIENTS.iter().position(|&at| at == clients).unwrap_or_default();
        Self { name, points: points.map(|outcome| (place(outcome.clients), value(outcome))).collect() }
    }
}

/// Curves over the numbers of clients, the height by its logarithm.
#[expect(clippy::cast_precision_loss, reason = "places on a page")]
fn chart(title: &str, curves: &[Curve]) -> String {
    let height = |value: f64| 270.0 - 45.0 * (value.max(0.01).log10() + 1.0);
    let across = |place: usize| 70.0 + 150.0 * place as f64;
    let mut drawing = format!("<h3>{title}</h3><svg viewBox='0 0 760 300' width=760 height=300>");
    for power in -1..5 {
        let value = 10_f64.powi(power);
        let y = height(value);
        let _ = write!(drawing, "<path d='M70 {y}H520' stroke='#ddd'/><text x=60 y={y} text-anchor=end>{value}</text>");
    }
    for (place, clients) in CLIENTS.iter().enumerate() {
        let _ = write!(drawing, "<text x={} y=292 text-anchor=middle>{clients}</text>", across(place));
    }
    for ((curve, colour), row) in curves.iter().zip(COLOURS).zip(0_u16..) {
        let Some(_) = curve.points.first() else { continue };
        let line: Vec<String> =
            curve.points.iter().map(|&(place, value)| format!("{},{:.1}", across(place), height(value))).collect();
        let _ = write!(
            drawing,
            "<polyline points='{}' fill=none stroke='{colour}' stroke-width=2 /><text x=570 y={} fill='{colour}'>{}</text>",
            line.join(" "),
            40 + 20 * row,
            curve.name
        );
    }
    drawing + "</svg>"
}
