//! The whole system from outside: the `vitracka` binary, called by clients nobody here wrote.
//!
//! One binary, so that it links once; the modules beside this one are its chapters. `foreign` brings the
//! other people's programs, `process` and `socket` are what is needed to deal with them, `local_aws` and
//! `door` are the two things they talk to.

mod a2a;
mod ag_ui;
mod agent;
mod agent_process;
mod agentcore_memory;
mod bearer;
mod bedrock;
mod clients;
mod coach;
mod command;
mod contract;
mod cost;
mod crowd;
mod deploy;
mod dev;
mod doctor;
mod door;
mod examples;
mod faults;
mod footprint;
mod foreign;
mod fuzz;
mod hostile;
mod instructions;
mod invoke;
mod lambda;
mod limits;
mod local_aws;
mod mcp;
mod model_failures;
mod model_features;
mod package;
mod process;
mod regions;
mod resilience;
mod second_cloud;
mod socket;
mod startup;
mod telemetry;
mod turns;
mod websocket;
