//! The AWS services an agent needs, on one loopback port of a laptop.

mod aws_error;
pub mod bedrock;
pub mod engine;

pub use aws_error::AwsError;
