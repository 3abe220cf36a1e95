//! The AWS services an agent needs, on one loopback port of a laptop.
