//! `vitracka startup`: a program's start beside its size.

use crate::local_aws::{START, vitracka};
use crate::process::Process;

fn told(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = vitracka();
    command.arg("startup").args(words);
    let (status, said, errors) = Process::start("vitracka startup", command).wait(START);
    (status.code(), said, errors)
}

#[test]
fn it_prints_the_size_and_the_median_of_its_starts() {
    let program = env!("CARGO_BIN_EXE_vitracka");
    let (status, said, errors) = told(&["--runs", "3", program, "agent", "test_agent"]);
    assert_eq!(status, Some(0), "{errors}");
    let rest = said.strip_prefix(program).expect("the program's name");
    assert!(rest.contains(" MB  exec to first healthy /ping "), "{said}");
    assert!(rest.contains(" ms, the median of 3 runs ("), "{said}");
}

#[test]
fn what_is_no_agent_is_told() {
    let (_, _, ended) = told(&["/bin/true"]);
    let (_, _, missing) = told(&["no/such/program"]);
    insta::assert_snapshot!(format!("{ended}{missing}"), @"
    vitracka: /bin/true ended (exit status: 0) before it was healthy; start it by hand to see why
    vitracka: no/such/program cannot be started: No such file or directory (os error 2)
    ");
}
