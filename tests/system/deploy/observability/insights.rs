//! Logs Insights' query language: as much of it as the dashboard uses, run over lines of a log.
//!
//! Neither moto nor ministack can stand in: moto reads `fields`, `sort` and `limit` and passes over every other command,
//! ministack filters by `@message` and `@logStream` alone and knows no `stats`. What is not understood here fails the
//! test that asks, so a query that passes is one that was run.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::filter_pattern::is_same;

/// A row of what a query gives.
pub(super) type Row = Map<String, Value>;

/// A query of one log group.
#[derive(Debug)]
pub(super) struct Query {
    /// The log group.
    pub(super) source: String,
    commands: Vec<Command>,
}

#[derive(Debug)]
enum Command {
    Fields(Vec<String>),
    Filter(Condition),
    Stats { aggregates: Vec<Aggregate>, by: Vec<Group> },
    Sort { field: String, descending: bool },
    Limit(usize),
}

#[derive(Debug)]
enum Condition {
    IsPresent(String),
    Equals(String, Value),
}

/// `function(field * factor) as name`.
#[derive(Debug)]
struct Aggregate {
    function: Function,
    field: String,
    factor: f64,
    name: String,
}

#[derive(Debug)]
enum Function {
    Count,
    Sum,
    Average,
}

#[derive(Debug)]
enum Group {
    /// So many seconds, from the beginning of time.
    Bin(i64),
    Field(String),
}

// === impl Query ===

impl Query {
    /// What the query gives of those lines.
    pub(super) fn run(&self, lines: &[Value]) -> Vec<Row> {
        let with_time = lines.iter().map(|line| {
            let mut row = line.as_object().expect("a line is an object").clone();
            row.insert("@timestamp".into(), line["timestamp"].clone());
            row
        });
        let mut rows: Vec<Row> = with_time.collect();
        let mut shown: Option<&[String]> = None;
        for command in &self.commands {
            match command {
                // Later commands may look at fields that are not shown.
                Command::Fields(fields) => shown = Some(fields),
                Command::Filter(condition) => rows.retain(|row| condition.holds(row)),
                Command::Stats { aggregates, by } => rows = stats(&rows, aggregates, by),
                Command::Sort { field, descending } => sort(&mut rows, field, *descending),
                Command::Limit(most) => rows.truncate(*most),
            }
        }
        if let Some(fields) = shown {
            for row in &mut rows {
                row.retain(|field, _| fields.contains(field));
            }
        }
        rows
    }

    /// The members of lines that it looks at.
    pub(super) fn members(&self) -> BTreeSet<&str> {
        let mut named = BTreeSet::new();
        let mut made = BTreeSet::new();
        for command in &self.commands {
            match command {
                Command::Fields(fields) => named.extend(fields.iter().map(String::as_str)),
                Command::Filter(Condition::IsPresent(field) | Condition::Equals(field, _))
                | Command::Sort { field, .. } => {
                    named.insert(field.as_str());
                }
                Command::Stats { aggregates, by } => {
                    named.extend(aggregates.iter().map(|aggregate| aggregate.field.as_str()));
                    made.extend(aggregates.iter().map(|aggregate| aggregate.name.as_str()));
                    named.extend(by.iter().filter_map(|group| match group {
                        Group::Field(field) => Some(field.as_str()),
                        Group::Bin(_) => None,
                    }));
                }
                Command::Limit(_) => {}
            }
        }
        named.into_iter().filter(|name| !name.starts_with(['@', '*']) && !made.contains(name)).collect()
    }
}

fn stats(rows: &[Row], aggregates: &[Aggregate], by: &[Group]) -> Vec<Row> {
    let mut groups: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(by.iter().map(|group| group.of(row)).collect()).or_default().push(row);
    }
    let rows = groups.into_iter().map(|(key, members)| {
        let keys = by.iter().map(Group::name).zip(key.into_iter().map(Value::from));
        let values = aggregates.iter().map(|aggregate| (aggregate.name.clone(), aggregate.of(&members)));
        keys.chain(values).collect()
    });
    rows.collect()
}

fn sort(rows: &mut [Row], field: &str, descending: bool) {
    rows.sort_by(|one, other| {
        let (one, other) = (one.get(field), other.get(field));
        let order = match (one.and_then(Value::as_f64), other.and_then(Value::as_f64)) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            _ => one.and_then(Value::as_str).cmp(&other.and_then(Value::as_str)),
        };
        if descending { order.reverse() } else { order }
    });
}

impl FromStr for Query {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('|').map(str::trim);
        let source =
            parts.next().and_then(|part| part.strip_prefix("SOURCE '")).and_then(|part| part.strip_suffix('\''));
        let source = source.ok_or_else(|| format!("`{text}` does not begin with its source"))?.to_owned();
        let commands = parts.map(|part| Command::read(part).ok_or_else(|| format!("`{part}` is not understood here")));
        Ok(Self { source, commands: commands.collect::<Result<_, _>>()? })
    }
}

// === impl Command ===

impl Command {
    fn read(text: &str) -> Option<Self> {
        let (command, rest) = text.split_once(' ')?;
        let rest = rest.trim();
        match command {
            "fields" => rest.split(',').map(field).collect::<Option<_>>().map(Self::Fields),
            "filter" => Condition::read(rest).map(Self::Filter),
            "stats" => {
                let (aggregates, by) = rest.split_once(" by ").unwrap_or((rest, ""));
                let by = by.split(',').map(str::trim).filter(|group| !group.is_empty()).map(Group::read);
                let aggregates = aggregates.split(',').map(Aggregate::read).collect::<Option<_>>()?;
                Some(Self::Stats { aggregates, by: by.collect::<Option<_>>()? })
            }
            "sort" => {
                let (name, order) = rest.split_once(' ')?;
                let descending = match order.trim() {
                    "desc" => true,
                    "asc" => false,
                    _ => return None,
                };
                Some(Self::Sort { field: field(name)?, descending })
            }
            "limit" => rest.parse().ok().map(Self::Limit),
            _ => None,
        }
    }
}

/// A field by its plain name.
fn field(text: &str) -> Option<String> {
    let name = text.trim();
    let plain = name.strip_prefix('@').unwrap_or(name);
    let is_plain = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| name.to_owned())
}

// === impl Condition ===

impl Condition {
    fn read(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix("ispresent(") {
            return field(inner.strip_suffix(')')?).map(Self::IsPresent);
        }
        let (name, wanted) = text.split_once('=')?;
        let wanted: Value = serde_json::from_str(wanted.trim()).ok()?;
        (wanted.is_string() || wanted.is_number()).then_some(())?;
        Some(Self::Equals(field(name)?, wanted))
    }

    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::IsPresent(field) => row.contains_key(field),
            Self::Equals(field, wanted) => row.get(field).is_some_and(|value| is_same(value, wanted)),
        }
    }
}

// === impl Aggregate ===

impl Aggregate {
    fn read(text: &str) -> Option<Self> {
        let (call, name) = text.split_once(" as ")?;
        let (function, argument) = call.trim().strip_suffix(')')?.split_once('(')?;
        let (argument, factor) = match argument.split_once('*') {
            Some((argument, factor)) if !argument.is_empty() => (argument, factor.trim().parse().ok()?),
            _ => (argument, 1.0),
        };
        let (function, field) = match (function, argument) {
            ("count", "*") => (Function::Count, "*".to_owned()),
            ("sum", argument) => (Function::Sum, field(argument)?),
            ("avg", argument) => (Function::Average, field(argument)?),
            _ => return None,
        };
        Some(Self { function, field, factor, name: self::field(name)? })
    }

    fn of(&self, rows: &[&Row]) -> Value {
        let values = rows.iter().filter_map(|row| row.get(&self.field)?.as_f64()).map(|value| value * self.factor);
        match self.function {
            Function::Count => rows.len().into(),
            Function::Sum => values.sum::<f64>().into(),
            Function::Average => {
                let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
                if count > 0.0 { Value::from(sum / count) } else { Value::Null }
            }
        }
    }
}

// === impl Group ===

impl Group {
    fn read(text: &str) -> Option<Self> {
        let Some(bin) = text.strip_prefix("bin(") else { return field(text).map(Self::Field) };
        let length = bin.strip_suffix(')')?;
        let seconds = match length.split_at_checked(length.len().checked_sub(1)?)? {
            (minutes, "m") => minutes.parse::<i64>().ok()? * 60,
            (hours, "h") => hours.parse::<i64>().ok()? * 3600,
            _ => return None,
        };
        Some(Self::Bin(seconds))
    }

    fn name(&self) -> String {
        match self {
            Self::Bin(seconds) if seconds % 3600 == 0 => format!("bin({}h)", seconds / 3600),
            Self::Bin(seconds) => format!("bin({}m)", seconds / 60),
            Self::Field(field) => field.clone(),
        }
    }

    fn of(&self, row: &Row) -> String {
        match self {
            Self::Bin(seconds) => {
                let at: Timestamp = row["@timestamp"].as_str().expect("a text").parse().expect("a moment");
                let begins = at.as_second() - at.as_second().rem_euclid(*seconds);
                Timestamp::from_second(begins).expect("a moment").to_string()
            }
            Self::Field(field) => row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned(),
        }
    }
}

// === tests ===

#[cfg(test)]
mod specification {
    use serde_json::{Value, json};

    use super::Query;

    fn asked(commands: &str) -> Result<String, String> {
        let lines = [
            json!({ "timestamp": "2026-11-25T10:01:00.000Z", "level": "INFO", "n": 1, "kind": "a" }),
            json!({ "timestamp": "2026-11-25T10:04:59.999Z", "level": "ERROR", "n": 2, "kind": "b" }),
            json!({ "timestamp": "2026-11-25T10:05:00.000Z", "level": "ERROR", "n": 4 }),
        ];
        let query: Query = format!("SOURCE 'group' | {commands}").parse()?;
        let rows: Value = query.run(&lines).into_iter().map(Value::Object).collect();
        Ok(rows.to_string())
    }

    #[test]
    fn commands_do_what_their_names_say() {
        let told = [
            r#"filter level = "ERROR" | stats sum(n) as total, count(*) as lines by bin(5m)"#,
            "stats avg(n * 10) as tens",
            "filter ispresent(kind) | stats sum(n) as total by kind | sort total desc",
            "fields @timestamp, n | sort @timestamp desc | limit 2",
        ]
        .map(|commands| asked(commands).expect("they are understood"));
        insta::assert_snapshot!(told.join("\n"), @r#"
        [{"bin(5m)":"2026-11-25T10:00:00Z","total":2.0,"lines":1},{"bin(5m)":"2026-11-25T10:05:00Z","total":4.0,"lines":1}]
        [{"tens":23.333333333333332}]
        [{"kind":"b","total":2.0},{"kind":"a","total":1.0}]
        [{"n":4,"@timestamp":"2026-11-25T10:05:00.000Z"},{"n":2,"@timestamp":"2026-11-25T10:04:59.999Z"}]
        "#);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for commands in
            ["parse @message '*'", "filter n > 1", "filter a = 1 or b = 2", "stats max(n) as most", "limit x"]
        {
            assert!(asked(commands).is_err(), "{commands}");
        }
    }
}
