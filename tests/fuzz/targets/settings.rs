//! What an operator sets, a line a variable, `NAME=value`: taken, or refused in a sentence; and whatever is taken,
//! nobody is asked outside of the EU unless that was allowed.

use std::collections::HashMap;

use agentcore_runtime::Protocol;
use agentcore_runtime::core::settings::Settings;

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let variables: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let read = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let _ = read("AGENTCORE_PROTOCOL").unwrap_or_default().parse::<Protocol>();
    match Settings::read(read) {
        Ok(Settings { model, .. }) => {
            let anywhere = variables.get("DATA_RESIDENCY") == Some(&"any");
            let others = model.fallbacks.iter().chain(&model.small);
            let places = others.map(|place| (&place.model_id, &place.region)).chain([(&model.model_id, &model.region)]);
            for (model_id, region) in places {
                let outside = ["eu-west-2", "eu-central-2"];
                let is_in_the_eu = region.as_str().starts_with("eu-") && !outside.contains(&region.as_str());
                assert!(anywhere || is_in_the_eu, "{model_id} in {}", region.as_str());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
