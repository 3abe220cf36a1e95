//! The coach from outside: what it is sent, what the model is told, what stands above it.

mod answers;
mod evaluation;
mod goals;
mod injection;
mod language;
mod prompt;
mod remembered;
mod rules;
mod second_reader;
mod sentinel;
mod served;
mod session;
mod text;
mod tools;
mod work;
