//! The binary: parses arguments and runs a command.

use std::process::ExitCode;

use clap::Parser;
use moondock::backend::LocalHost;
use moondock::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run(&LocalHost).await
}
