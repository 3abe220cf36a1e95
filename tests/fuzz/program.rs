//! libFuzzer calls the target that `FUZZ_TARGET` names, with whatever it thinks of next.
#![no_main]

mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<&targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let names = || targets::ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let named = targets::ALL.iter().find(|target| target.name == name);
    named.unwrap_or_else(|| panic!("FUZZ_TARGET={name} is none of {}", names()))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
