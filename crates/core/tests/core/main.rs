//! The core from outside: what turns, histories and memories promise.

mod converse_rules;
mod drive;
mod history;
mod memory;
mod outcome;
mod played;
mod settings;
mod tools;
mod turn;
