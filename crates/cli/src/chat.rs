//! `vitracka invoke` and `vitracka chat`: one call, or a conversation in the terminal.

use std::io::{IsTerminal as _, stdin, stdout};
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::caller::{CallError, Called, Caller, delta};
use crate::output;

/// Sends one payload and prints what comes back, as JSON.
pub(crate) async fn invoke(caller: &Caller, payload: &str, streamed: bool) -> Result<ExitCode, CallError> {
    if streamed {
        caller.stream(payload, |frame| output::line(&frame.to_string())).await?;
    } else {
        output::line(&caller.invoke(payload).await?.answer.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Talks until the input ends. In a pipe, each line is a message and only answers are printed.
pub(crate) async fn chat(caller: &Caller, context: Option<&Value>) -> Result<ExitCode, CallError> {
    let for_a_person = stdin().is_terminal() && stdout().is_terminal();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut code = ExitCode::SUCCESS;
    loop {
        if for_a_person {
            output::part("\nyou    ")?;
        }
        let line = lines.next_line().await.map_err(|error| CallError::Broken(error.to_string()))?;
        let Some(line) = line else { return Ok(code) };
        if line.trim().is_empty() {
            continue;
        }
        if for_a_person {
            output::part("agent  ")?;
        }
        match say(caller, &line, context).await {
            Ok(answered) if for_a_person => output::line(&format!("\n       {}", summary(&answered)))?,
            Ok(_) => output::line("")?,
            Err(CallError::Output(gone)) => return Err(gone.into()),
            Err(error) => {
                eprintln!("{error}");
                code = ExitCode::FAILURE;
            }
        }
    }
}

async fn say(caller: &Caller, line: &str, context: Option<&Value>) -> Result<Called, CallError> {
    let mut payload = json!({ "prompt": line });
    if let Some(context) = context {
        payload["user_context"] = context.clone();
    }
    caller.stream(&payload.to_string(), |frame| output::part(delta(frame).unwrap_or_default())).await
}

fn summary(called: &Called) -> String {
    let tokens = |name: &str| called.answer["usage"][name].as_u64().unwrap_or(0);
    let first_token = called.first_token.unwrap_or(called.total).as_millis();
    let total = called.total.as_millis();
    format!(
        "(first token {first_token} ms, total {total} ms, {} in, {} out)",
        tokens("inputTokens"),
        tokens("outputTokens")
    )
}
