//! Turns the data that people read into the data that the binary reads: each TOML file into JSON, so that no TOML
//! parser ships.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const FILES: [&str; 2] = ["resources", "answers"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    for name in FILES {
        let file = format!("data/{name}.toml");
        println!("cargo::rerun-if-changed={file}");
        let data: toml::Table = fs::read_to_string(&file)?.parse().map_err(|error| format!("{file}: {error}"))?;
        fs::write(Path::new(&out).join(format!("{name}.json")), serde_json::to_string(&data)?)?;
    }
    Ok(())
}
