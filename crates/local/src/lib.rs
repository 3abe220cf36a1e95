//! The AWS services an agent needs, on one loopback port of a laptop.

mod aws_error;

pub use aws_error::AwsError;
