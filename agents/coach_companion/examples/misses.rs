//! Scratch.
use agentcore_runtime::prelude::Severity;
use coach_companion::evaluation::cases::read_folder;
use coach_companion::sentinel::finding::without_classifier;
fn main() {
    let cases = read_folder(std::path::Path::new("evaluation/tuning")).expect("cases");
    let want = std::env::args().nth(1).expect("kind");
    let sev = std::env::args().nth(2).expect("sev");
    let (mut all, mut hit) = (0, 0);
    for case in cases {
        let f = without_classifier(&case.says);
        let k = case.expected.map_or("none", |e| e.0.as_str());
        let s = case.expected.map_or("none", |e| e.1.as_str());
        if k != want || s != sev {
            continue;
        }
        all += 1;
        let ok = match case.expected {
            None => f.is_empty(),
            Some((_, Severity::Crisis)) => f.iter().any(|f| f.severity == Severity::Crisis),
            Some((k, _)) => f.iter().any(|f| f.kind == k),
        };
        if ok {
            hit += 1
        } else {
            println!(
                "{}{}",
                if f.is_empty() {
                    String::new()
                } else {
                    format!("[{:?}] ", f.iter().map(|f| f.rule).collect::<Vec<_>>())
                },
                case.says
            );
        }
    }
    eprintln!("{want} {sev}: {hit}/{all}");
}
