//! Where the answers of Cost Explorer and CloudWatch come from: AWS, or a folder somebody recorded them in.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::aws::exchange::Exchange;
use agentcore_runtime::core::aws::sigv4::{SigV4, Signable, SigningError};
use agentcore_runtime::core::model::residency::{Region, Residency};
use agentcore_runtime::core::signal::namespace;
use aws_credential_types::provider::error::CredentialsError;
use bytes::Bytes;
use http::Request;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::CostError;
use super::counted::{COUNTED, label};
use super::days::Days;

/// The tag that has an agent's name, on everything of the templates in `deploy`.
const TAG: &str = "Application";

/// Where Cost Explorer is, for all regions.
const BILLING_REGION: &str = "us-east-1";

/// A day, in seconds.
const DAY: u32 = 86_400;

/// How long an answer may take. Cost Explorer thinks for seconds.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// How long AWS's own way of finding credentials may take.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(20);

/// How often a service may say that there is more.
const MOST_PAGES: usize = 100;

/// A service that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// What AWS charges.
    CostExplorer,
    /// What the agents count.
    CloudWatch,
}

/// Asks the services.
pub(super) struct Asker {
    exchange: Exchange,
    billing: Arc<Aws>,
    metrics: Arc<Aws>,
}

/// Whether it is like `eu-west-1`. It becomes a part of a host's name.
fn is_a_region(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let numbered = parts.next().is_some_and(|part| !part.is_empty() && is_number(part));
    numbered && name.matches('-').count() >= 2 && parts.all(is_word)
}

fn costs_of(days: Days) -> Value {
    json!({
        // The end is the first day that is not asked for.
        "TimePeriod": { "Start": days.asked_from(), "End": days.today },
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{ "Type": "DIMENSION", "Key": "SERVICE" }, { "Type": "TAG", "Key": TAG }],
    })
}

fn metrics_of(days: Days, agents: &[String]) -> Value {
    let all = agents.iter().flat_map(|agent| COUNTED.map(|measure| (agent, measure)));
    let queries = all.enumerate().map(|(number, (agent, measure))| {
        json!({
            "Id": format!("m{number}"),
            "Label": label(agent, measure),
            "MetricStat": {
                "Metric": { "Namespace": namespace(agent), "MetricName": measure, "Dimensions": [] },
                "Period": DAY,
                "Stat": "Sum",
            },
        })
    });
    json!({
        "StartTime": second(days.asked_from()),
        "EndTime": second(days.today.saturating_add(jiff::Span::new().days(1))),
        "ScanBy": "TimestampAscending",
        "MetricDataQueries": queries.collect::<Vec<_>>(),
    })
}

/// When a day begins, in seconds since 1970.
fn second(day: Date) -> i64 {
    day.to_zoned(TimeZone::UTC).map(|moment| moment.timestamp().as_second()).unwrap_or_default()
}

/// The answers of a service in files, as the AWS CLI prints them.
pub(super) fn recorded(folder: &Path, service: Service) -> Result<Vec<Value>, CostError> {
    let cannot = |path: &Path, reason: String| CostError::File { path: path.to_owned(), reason };
    let entries = fs::read_dir(folder).map_err(|error| cannot(folder, error.to_string()))?;
    let is_asked_for = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(service.recorded_as()) && path.extension().is_some_and(|ending| ending == "json")
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_asked_for).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(CostError::NotRecorded { folder: folder.to_owned(), service });
    }
    let answer = |path: &PathBuf| {
        let text = fs::read_to_string(path).map_err(|error| cannot(path, error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| cannot(path, error.to_string()))
    };
    paths.iter().map(answer).collect()
}

// === impl Asker ===

impl Asker {
    /// Asks about agents in a region.
    pub(super) fn of(region: &str) -> Result<Self, CostError> {
        let aws = |region: &str| {
            // Numbers of a report are nobody's personal data; what is asked for may be anywhere.
            let parsed = Region::parse(region, Residency::Any).ok().filter(|_| is_a_region(region));
            parsed.map(|region| Arc::new(Aws::new(region))).ok_or_else(|| CostError::Region(region.to_owned()))
        };
        let (billing, metrics) = (aws(BILLING_REGION)?, aws(region)?);
        Ok(Self { exchange: Exchange::new(ANSWERED_WITHIN), billing, metrics })
    }

    /// `GetCostAndUsage`, page by page: each day by service and by the agents' tag.
    pub(super) async fn costs(&self, days: Days) -> Result<Vec<Value>, CostError> {
        self.pages(Service::CostExplorer, costs_of(days)).await
    }

    /// `GetMetricData`, page by page: what each agent counted each day.
    pub(super) async fn metrics(&self, days: Days, agents: &[String]) -> Result<Vec<Value>, CostError> {
        self.pages(Service::CloudWatch, metrics_of(days, agents)).await
    }

    async fn pages(&self, service: Service, mut question: Value) -> Result<Vec<Value>, CostError> {
        let token = service.token();
        let mut pages = Vec::new();
        while pages.len() < MOST_PAGES {
            let answer = self.ask(service, &question).await?;
            let next = answer[token].as_str().filter(|next| !next.is_empty()).map(str::to_owned);
            pages.push(answer);
            match next {
                Some(next) => question[token] = next.into(),
                None => return Ok(pages),
            }
        }
        Err(CostError::Unreadable { service, reason: format!("it has more than {MOST_PAGES} pages") })
    }

    async fn ask(&self, service: Service, question: &Value) -> Result<Value, CostError> {
        let aws = match service {
            Service::CostExplorer => &self.billing,
            Service::CloudWatch => &self.metrics,
        };
        let uri = service.address(aws).await;
        let body = question.to_string();
        let headers = [("content-type", service.content_type()), ("x-amz-target", service.target())];
        let signable = Signable { method: "POST", uri: &uri, headers: &headers, body: body.as_bytes() };
        let signature = SigV4::new(Arc::clone(aws)).service(service.signing_name());
        let signed = timeout(CREDENTIALS_WITHIN, signature.sign(signable)).await;
        let signed = signed.map_err(|_| CostError::CredentialsTakeLong(CREDENTIALS_WITHIN.as_secs()))?;
        let signed = signed.map_err(|source| unsigned(service, source))?;
        let request = headers.iter().fold(Request::post(&uri), |request, (name, value)| request.header(*name, *value));
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Bytes::from(body)).map_err(|error| unreadable(service, &error))?;
        let answer = self.exchange.send(request).await.map_err(|source| CostError::Unreachable { service, source })?;
        if !answer.status().is_success() {
            return Err(refusal(service, answer.status().as_u16(), answer.body()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| unreadable(service, &error))
    }
}

fn unsigned(service: Service, source: SigningError) -> CostError {
    match source {
        SigningError::NoProvider | SigningError::Credentials(CredentialsError::CredentialsNotLoaded(_)) => {
            CostError::NoCredentials
        }
        source => CostError::NotSigned { service, source },
    }
}

fn unreadable(service: Service, error: &dyn fmt::Display) -> CostError {
    CostError::Unreadable { service, reason: error.to_string() }
}

/// What a service says that does not answer.
fn refusal(service: Service, status: u16, body: &[u8]) -> CostError {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| said[name].as_str();
    let name =
        text("__type").and_then(|name| name.rsplit('#').next()).map_or_else(|| status.to_string(), str::to_owned);
    let message = text("message").or_else(|| text("Message")).unwrap_or("no reason given").to_owned();
    match name.as_str() {
        _ if name.starts_with("AccessDenied") => CostError::NoRight { service, message },
        "DataUnavailableException" => CostError::NoCostsYet,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch" => CostError::CredentialsRefused { name, message },
        _ => CostError::Refused { service, name, message },
    }
}

// === impl Service ===

impl Service {
    /// The right that its operation needs.
    pub(super) fn right(self) -> &'static str {
        match self {
            Self::CostExplorer => "ce:GetCostAndUsage",
            Self::CloudWatch => "cloudwatch:GetMetricData",
        }
    }

    /// How files with its answers begin.
    pub(super) fn recorded_as(self) -> &'static str {
        match self {
            Self::CostExplorer => "get-cost-and-usage",
            Self::CloudWatch => "get-metric-data",
        }
    }

    /// The command of the AWS CLI that prints them.
    pub(super) fn recorded_by(self) -> &'static str {
        match self {
            Self::CostExplorer => "ce get-cost-and-usage",
            Self::CloudWatch => "cloudwatch get-metric-data",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::CostExplorer => "AWSInsightsIndexService.GetCostAndUsage",
            Self::CloudWatch => "GraniteServiceVersion20100801.GetMetricData",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::CostExplorer => "application/x-amz-json-1.1",
            Self::CloudWatch => "application/x-amz-json-1.0",
        }
    }

    fn signing_name(self) -> &'static str {
        match self {
            Self::CostExplorer => "ce",
            Self::CloudWatch => "monitoring",
        }
    }

    /// The member that says where to go on.
    fn token(self) -> &'static str {
        match self {
            Self::CostExplorer => "NextPageToken",
            Self::CloudWatch => "NextToken",
        }
    }

    /// Where it is: where the user says, as for every client of AWS, else where it always is.
    async fn address(self, aws: &Aws) -> String {
        let own = match self {
            Self::CostExplorer => "AWS_ENDPOINT_URL_COST_EXPLORER",
            Self::CloudWatch => "AWS_ENDPOINT_URL_CLOUDWATCH",
        };
        let own = std::env::var(own).ok().filter(|own| !own.is_empty());
        let chosen = match own {
            Some(own) => Some(own),
            None => aws.config().await.endpoint_url().map(str::to_owned),
        };
        let usual = || format!("https://{}.{}.amazonaws.com", self.signing_name(), aws.region());
        format!("{}/", chosen.unwrap_or_else(usual).trim_end_matches('/'))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CostExplorer => "Cost Explorer",
            Self::CloudWatch => "CloudWatch",
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn costs_are_asked_for_by_day_service_and_agent() {
        insta::assert_json_snapshot!(costs_of(Days::to(date(2026, 11, 25), 7)), @r#"
        {
          "TimePeriod": {
            "Start": "2026-11-01",
            "End": "2026-11-25"
          },
          "Granularity": "DAILY",
          "Metrics": [
            "UnblendedCost"
          ],
          "GroupBy": [
            {
              "Type": "DIMENSION",
              "Key": "SERVICE"
            },
            {
              "Type": "TAG",
              "Key": "Application"
            }
          ]
        }
        "#);
    }

    #[test]
    fn metrics_are_asked_for_by_agent_and_whole_days() {
        let question = metrics_of(Days::to(date(2026, 11, 25), 7), &["coach_companion".to_owned()]);
        let queries = question["MetricDataQueries"].as_array().expect("queries");
        assert_eq!(queries.len(), COUNTED.len());
        insta::assert_json_snapshot!(queries[0], @r#"
        {
          "Id": "m0",
          "Label": "AgentCore/coach_companion InvocationCount",
          "MetricStat": {
            "Metric": {
              "Namespace": "AgentCore/coach_companion",
              "MetricName": "InvocationCount",
              "Dimensions": []
            },
            "Period": 86400,
            "Stat": "Sum"
          }
        }
        "#);
        assert_eq!(
            (question["StartTime"].as_i64(), question["EndTime"].as_i64()),
            (Some(1_793_491_200), Some(1_795_651_200))
        );
    }

    #[test]
    fn a_region_is_told_from_other_words() {
        for region in ["eu-west-1", "us-east-1", "eusc-de-east-1", "ap-southeast-3", "us-gov-west-1"] {
            assert!(is_a_region(region), "{region}");
        }
        for word in ["", "-", "Ireland", "eu-west", "EU-WEST-1", "eu-west-1.evil.example/", "--1", "west-1"] {
            assert!(!is_a_region(word), "{word}");
        }
    }

    #[test]
    fn a_refusal_is_a_sentence_that_says_what_to_do() {
        let said = |service, body: &str| refusal(service, 400, body.as_bytes()).to_string();
        let told = [
            said(
                Service::CostExplorer,
                r#"{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::1:user/ann is not authorized to perform: ce:GetCostAndUsage"}"#,
            ),
            said(
                Service::CloudWatch,
                r#"{"__type":"com.amazonaws.cloudwatch#AccessDenied","message":"no identity-based policy allows it"}"#,
            ),
            said(Service::CostExplorer, r#"{"__type":"DataUnavailableException","Message":"Data is not available."}"#),
            said(
                Service::CloudWatch,
                r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
            ),
            said(Service::CostExplorer, r#"{"__type":"LimitExceededException","Message":"Rate exceeded"}"#),
            said(Service::CloudWatch, "<html>"),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        the right ce:GetCostAndUsage is missing: User: arn:aws:iam::1:user/ann is not authorized to perform: ce:GetCostAndUsage
        the right cloudwatch:GetMetricData is missing: no identity-based policy allows it
        Cost Explorer has no costs yet: it is switched on once in the console of Billing, and begins a day later
        AWS does not accept the credentials (UnrecognizedClientException: The security token included in the request is invalid.); run `aws sso login` or `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID
        Cost Explorer refuses: LimitExceededException: Rate exceeded
        CloudWatch refuses: 400: no reason given
        ");
    }
}
