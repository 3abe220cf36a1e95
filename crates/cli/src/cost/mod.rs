//! `vitracka cost`: what the agents cost, by those who know.
//!
//! Cost Explorer knows what AWS charges, for the whole account and up to a day late. The agents know what models cost them,
//! from their tokens and a table of prices, at once and nothing else: they count it as metrics in CloudWatch. The report
//! has both and says which is which.
//!
//! Both services are asked by signed requests, not by clients of the SDK: it is one operation each, and answers that were
//! recorded with the AWS CLI are read by the same code as those that come over the wire.

mod answers;
mod billed;
mod counted;
mod days;
mod report;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use agentcore_runtime::core::aws::exchange::ExchangeError;
use agentcore_runtime::core::aws::sigv4::SigningError;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::arguments::Cost;
use crate::doctor::LOG_IN;
use crate::output;
use answers::{Asker, Service, recorded};
use billed::Billed;
use counted::Counted;
use days::Days;
use report::Report;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CostError {
    #[error("{0} is no region's name; write it like eu-west-1")]
    Region(String),
    #[error("there are no AWS credentials in the environment, in a profile or on this machine; {LOG_IN}")]
    NoCredentials,
    #[error("{service} cannot be asked: {source}; {LOG_IN}")]
    NotSigned { service: Service, source: SigningError },
    #[error("AWS credentials were looked for in vain for {0} seconds; {LOG_IN}")]
    CredentialsTakeLong(u64),
    #[error("AWS does not accept the credentials ({name}: {message}); {LOG_IN}")]
    CredentialsRefused { name: String, message: String },
    #[error("the right {} is missing: {message}", .service.right())]
    NoRight { service: Service, message: String },
    #[error("Cost Explorer has no costs yet: it is switched on once in the console of Billing, and begins a day later")]
    NoCostsYet,
    #[error("{service} cannot be asked: {source}")]
    Unreachable { service: Service, source: ExchangeError },
    #[error("{service} refuses: {name}: {message}")]
    Refused { service: Service, name: String, message: String },
    #[error("an answer of {service} is not as its documentation has it: {reason}")]
    Unreadable { service: Service, reason: String },
    #[error("{}: cannot be read: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error(
        "{} has no {}*.json; record it there with `aws {}`", folder.display(), service.recorded_as(), service.recorded_by()
    )]
    NotRecorded { folder: PathBuf, service: Service },
    #[error("the report cannot be printed: {0}")]
    Output(#[from] std::io::Error),
}

/// Asks, and prints the report.
pub(crate) async fn run(cost: &Cost) -> Result<ExitCode, CostError> {
    let report = if let Some(folder) = &cost.recorded {
        let billed = Billed::read(&recorded(folder, Service::CostExplorer)?)?;
        let counted = Counted::read(&recorded(folder, Service::CloudWatch)?)?;
        // Somebody asked for whole days, up to the day that it was.
        Report::new(Days::to(billed.until()?, cost.days), &billed, &counted)
    } else {
        let asker = Asker::of(&cost.region)?;
        let days = Days::to(Zoned::now().with_time_zone(TimeZone::UTC).date(), cost.days);
        let billed = Billed::read(&asker.costs(days).await?)?;
        let counted = Counted::read(&asker.metrics(days, &cost.agents).await?)?;
        Report::new(days, &billed, &counted)
    };
    output::line(&if cost.json { report.json() } else { report.to_string() })?;
    Ok(ExitCode::SUCCESS)
}
