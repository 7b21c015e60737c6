//! The binary: parses arguments and runs a command.

use std::process::ExitCode;

use clap::Parser;
use moondock::backend::LocalHost;
use moondock::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    prefer_small_pages();
    Cli::parse().run(&LocalHost).await
}

/// Each VM touches a few pages in many places of its heap. With huge pages, which the allocator asks
/// the kernel for, that made a process with 100 plugins twice as large.
fn prefer_small_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: this option takes plain numbers and touches no memory. Where the kernel does not know
    // it, nothing changes.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
