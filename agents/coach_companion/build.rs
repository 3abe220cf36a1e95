//! Turns the data that people read into the data that the binary reads: each TOML file into JSON, so that no TOML
//! parser ships. What only a reader needs of a rule (what it is about, its examples) stays behind. The sentinel's rules
//! and the classifier's weights are packed: two hundred kilobytes less to ship, and read once.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Where data is, and where it goes.
const FOLDERS: [(&str, &str); 4] =
    [("data", ""), ("data/sentinel", "sentinel"), ("data/language", "language"), ("evaluation", "evaluation")];

/// The sentinel's rules, in the order they are tried.
const SENTINEL: [&str; 10] = [
    "self_harm",
    "third_party",
    "medical_emergency",
    "domestic_abuse",
    "eating_disorder",
    "low_mood",
    "minor",
    "unsafe_goal",
    "pregnancy",
    "medication",
];

/// What of a rule is for readers and tests.
const FOR_READERS: [&str; 3] = ["about", "examples", "counterexamples"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    for (from, to) in FOLDERS {
        let (from, to) = (Path::new(from), Path::new(&out).join(to));
        println!("cargo::rerun-if-changed={}", from.display());
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                let json = to.join(file.with_extension("json").file_name().ok_or("a file without a name")?);
                fs::write(json, converted(&file)?)?;
            }
        }
    }
    let out = Path::new(&out);
    fs::write(out.join("sentinel.deflate"), packed(&rules(&out.join("sentinel"))?)?)?;
    fs::write(out.join("classifier.deflate"), packed(&fs::read("data/classifier.bin")?)?)?;
    Ok(())
}

/// The sentinel's files, a line each.
fn rules(folder: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut rules = Vec::new();
    for kind in SENTINEL {
        writeln!(rules, "{}", fs::read_to_string(folder.join(kind).with_extension("json"))?)?;
    }
    Ok(rules)
}

fn packed(data: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(data)?;
    Ok(packed.finish()?)
}

fn converted(file: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(file)?;
    let mut data: toml::Table = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    if let Some(toml::Value::Array(rules)) = data.get_mut("rule") {
        for rule in rules.iter_mut().filter_map(toml::Value::as_table_mut) {
            rule.retain(|member, _| !FOR_READERS.contains(&member));
        }
    }
    Ok(serde_json::to_string(&data)?)
}
