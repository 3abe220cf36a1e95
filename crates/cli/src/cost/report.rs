//! The report: what was billed beside what was estimated, by day, agent and service, and what the month comes to.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::billed::Billed;
use super::counted::{Counted, Counts};
use super::days::Days;
use super::table::table;

/// What is reckoned by: money for so many invocations.
const MANY: f64 = 1000.0;

/// Everything that is said, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The first day.
    first_day: Date,
    /// The day after the last whole one.
    today: Date,
    days: Vec<OfDay>,
    agents: Vec<OfAgent>,
    all: Total,
    services: Vec<OfService>,
    month: Month,
}

#[derive(Debug, Serialize)]
struct OfDay {
    day: Date,
    /// Absent of today, which nobody has billed yet.
    #[serde(serialize_with = "rounded_if_any")]
    billed_usd: Option<f64>,
    #[serde(flatten)]
    counts: Figures,
}

#[derive(Debug, Serialize)]
struct OfAgent {
    agent: String,
    /// What has its tag.
    #[serde(serialize_with = "rounded")]
    billed_by_tag_usd: f64,
    #[serde(flatten)]
    counts: Figures,
    #[serde(serialize_with = "rounded_if_any")]
    estimated_usd_per_1000: Option<f64>,
    #[serde(serialize_with = "rounded_if_any")]
    billed_by_tag_usd_per_1000: Option<f64>,
}

/// The whole days together.
#[derive(Debug, Serialize)]
struct Total {
    #[serde(serialize_with = "rounded")]
    billed_usd: f64,
    #[serde(flatten)]
    counts: Figures,
    #[serde(serialize_with = "rounded_if_any")]
    estimated_usd_per_1000: Option<f64>,
    #[serde(serialize_with = "rounded_if_any")]
    billed_usd_per_1000: Option<f64>,
}

#[derive(Debug, Serialize)]
struct OfService {
    service: String,
    #[serde(serialize_with = "rounded")]
    billed_usd: f64,
}

#[derive(Debug, Serialize)]
struct Month {
    /// Its first day.
    first_day: Date,
    billed: Projection,
    estimated: Projection,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Projection {
    /// The month's whole days.
    #[serde(serialize_with = "rounded")]
    so_far_usd: f64,
    /// With the report's average for each day that is left.
    #[serde(serialize_with = "rounded")]
    projected_usd: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Figures {
    #[serde(serialize_with = "rounded")]
    estimated_usd: f64,
    invocations: u64,
    input_tokens: u64,
    output_tokens: u64,
}

// === impl Report ===

impl Report {
    pub(super) fn new(days: Days, billed: &Billed, counted: &Counted) -> Self {
        let (by_day, by_agent, all_counts) = (by_day(days, counted), by_agent(days, counted), counts_of(days, counted));
        let charged = |day: Date| sum(billed, |charge_day, _| charge_day == day);
        let in_days = |day: Date| days.whole().any(|whole| whole == day);
        let billed_usd = sum(billed, |day, _| in_days(day));
        let agents = by_agent.into_iter().map(|(agent, counts)| {
            let billed = sum(billed, |day, tag| in_days(day) && tag == Some(agent.as_str()));
            OfAgent {
                billed_by_tag_usd: billed,
                estimated_usd_per_1000: per_1000(counts.usd, counts),
                billed_by_tag_usd_per_1000: per_1000(billed, counts),
                counts: counts.into(),
                agent,
            }
        });
        let whole = days.whole().map(|day| (day, Some(charged(day))));
        let of_day =
            |(day, billed_usd)| OfDay { day, billed_usd, counts: by_day.get(&day).copied().unwrap_or_default().into() };
        Self {
            first_day: days.first,
            today: days.today,
            days: whole.chain([(days.today, None)]).map(of_day).collect(),
            agents: agents.collect(),
            all: Total {
                billed_usd,
                counts: all_counts.into(),
                estimated_usd_per_1000: per_1000(all_counts.usd, all_counts),
                billed_usd_per_1000: per_1000(billed_usd, all_counts),
            },
            services: services(billed, in_days),
            month: Month {
                first_day: days.today.first_of_month(),
                billed: Projection::of(days, billed_usd, sum(billed, |day, _| days.is_of_month(day))),
                estimated: Projection::of(days, all_counts.usd, month_so_far(days, counted)),
            },
        }
    }

    /// All of it for a program.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn by_day(days: Days, counted: &Counted) -> BTreeMap<Date, Counts> {
    let mut by_day: BTreeMap<Date, Counts> = BTreeMap::new();
    for (_, day, counts) in counted.all().filter(|(_, day, _)| *day >= days.first) {
        *by_day.entry(day).or_default() += counts;
    }
    by_day
}

/// Every agent that was ever heard of, so that one without invocations is seen to have none.
fn by_agent(days: Days, counted: &Counted) -> BTreeMap<String, Counts> {
    let mut by_agent: BTreeMap<String, Counts> = BTreeMap::new();
    for (agent, day, counts) in counted.all() {
        let sum = by_agent.entry(agent.to_owned()).or_default();
        if days.whole().any(|whole| whole == day) {
            *sum += counts;
        }
    }
    by_agent
}

fn counts_of(days: Days, counted: &Counted) -> Counts {
    by_agent(days, counted).into_values().fold(Counts::default(), |mut sum, counts| {
        sum += counts;
        sum
    })
}

fn month_so_far(days: Days, counted: &Counted) -> f64 {
    counted.all().filter(|(_, day, _)| days.is_of_month(*day)).map(|(_, _, counts)| counts.usd).sum()
}

fn sum(billed: &Billed, which: impl Fn(Date, Option<&str>) -> bool) -> f64 {
    let these = billed.charges.iter().filter(|charge| which(charge.day, charge.tag.as_deref()));
    // An empty sum is minus nothing, which reads badly.
    these.map(|charge| charge.usd).sum::<f64>() + 0.0
}

/// The dearest first.
fn services(billed: &Billed, in_days: impl Fn(Date) -> bool) -> Vec<OfService> {
    let mut services: BTreeMap<&str, f64> = BTreeMap::new();
    for charge in billed.charges.iter().filter(|charge| in_days(charge.day)) {
        *services.entry(&charge.service).or_default() += charge.usd;
    }
    let services =
        services.into_iter().map(|(service, billed_usd)| OfService { service: service.to_owned(), billed_usd });
    let mut services: Vec<_> = services.collect();
    services.sort_by(|one, other| other.billed_usd.total_cmp(&one.billed_usd));
    services
}

fn per_1000(usd: f64, counts: Counts) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "nobody has been called that often")]
    let invocations = counts.invocations as f64;
    (counts.invocations > 0).then(|| usd / invocations * MANY)
}

// === impl Projection ===

impl Projection {
    fn of(days: Days, in_days: f64, so_far_usd: f64) -> Self {
        Self { so_far_usd, projected_usd: so_far_usd + in_days / days.count() * days.left_of_month() }
    }
}

// === impl Figures ===

impl From<Counts> for Figures {
    fn from(Counts { invocations, input_tokens, output_tokens, usd }: Counts) -> Self {
        Self { estimated_usd: usd, invocations, input_tokens, output_tokens }
    }
}

impl Figures {
    fn cells(self) -> [String; 4] {
        let counts = [self.invocations, self.input_tokens, self.output_tokens].map(|count| count.to_string());
        let [invocations, input_tokens, output_tokens] = counts;
        [usd(self.estimated_usd), invocations, input_tokens, output_tokens]
    }
}

/// To a millionth of a dollar: what is finer is noise of adding up.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands members over so")]
fn rounded<S: Serializer>(amount: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((amount * 1e6).round() / 1e6)
}

#[expect(clippy::ref_option, reason = "serde hands members over so")]
fn rounded_if_any<S: Serializer>(amount: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => rounded(amount, serializer),
        None => serializer.serialize_none(),
    }
}

// === as text ===

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.days.len() - 1;
        writeln!(
            formatter,
            "What {whole} whole {} before {} cost, in US dollars.
  billed     what AWS charges, by Cost Explorer: the whole account, all services, up to a day late
  estimated  what models cost, by the agents: their tokens times the table of prices, at once, and nothing else

{}

{}
Calls of models have no tag, unless an application inference profile gives them one; they are billed under all.

{}

{}
  projected: what {whole} {} cost on average, for each day that is left.",
            if whole == 1 { "day" } else { "days" },
            self.today,
            self.days_table(),
            self.agents_table(),
            self.services_table(),
            self.month_table(),
            if whole == 1 { "day" } else { "days" },
        )?;
        Ok(())
    }
}

impl Report {
    fn days_table(&self) -> String {
        let rows = self.days.iter().map(|OfDay { day, billed_usd, counts }| {
            let day = if *day == self.today { format!("{day} so far") } else { day.to_string() };
            let [estimated, invocations, input, output] = counts.cells();
            [day, money(*billed_usd), estimated, invocations, input, output]
        });
        let heading = ["day", "billed", "estimated", "invocations", "tokens in", "tokens out"];
        table(heading, &rows.collect::<Vec<_>>())
    }

    fn agents_table(&self) -> String {
        let row = |name: &str, billed: f64, counts: Figures, estimated_1000, billed_1000| {
            let [estimated, invocations, input, output] = counts.cells();
            let per_1000 = [money(estimated_1000), usd(billed), money(billed_1000)];
            let [estimated_1000, billed, billed_1000] = per_1000;
            [name.to_owned(), invocations, input, output, estimated, estimated_1000, billed, billed_1000]
        };
        let mut rows: Vec<_> = self
            .agents
            .iter()
            .map(|of| {
                let OfAgent { agent, billed_by_tag_usd, counts, estimated_usd_per_1000, billed_by_tag_usd_per_1000 } =
                    of;
                row(agent, *billed_by_tag_usd, *counts, *estimated_usd_per_1000, *billed_by_tag_usd_per_1000)
            })
            .collect();
        let Total { billed_usd, counts, estimated_usd_per_1000, billed_usd_per_1000 } = &self.all;
        rows.push(row("all", *billed_usd, *counts, *estimated_usd_per_1000, *billed_usd_per_1000));
        let heading =
            ["agent", "invocations", "tokens in", "tokens out", "estimated", "per 1000", "billed by tag", "per 1000"];
        table(heading, &rows)
    }

    fn services_table(&self) -> String {
        let rows = self.services.iter().map(|OfService { service, billed_usd }| [service.clone(), usd(*billed_usd)]);
        table(["service", "billed"], &rows.collect::<Vec<_>>())
    }

    fn month_table(&self) -> String {
        let month = self.month.first_day.strftime("%B %Y").to_string();
        let row = |name: &str, Projection { so_far_usd, projected_usd }| {
            [format!("  {name}"), usd(so_far_usd), usd(projected_usd)]
        };
        table(
            [&month, "so far", "projected"],
            &[row("billed", self.month.billed), row("estimated", self.month.estimated)],
        )
    }
}

fn money(amount: Option<f64>) -> String {
    amount.map_or_else(|| "-".to_owned(), usd)
}

/// Cents, and what is less where there is little.
fn usd(amount: f64) -> String {
    if amount == 0.0 || amount.abs() >= 10.0 { format!("{amount:.2}") } else { format!("{amount:.4}") }
}
