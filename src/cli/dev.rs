//! `moondock dev`.

use clap::Args;

use super::{Backend, Failure, start};
use crate::settings::{Flags, Mode};

#[derive(Args)]
pub(super) struct DevArgs {
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(args: DevArgs, backend: &dyn Backend) -> Result<(), Failure> {
    start(&args.flags, Mode::Dev, backend).await
}
