//! `moondock serve`.

use clap::Args;

use super::{Backend, Failure, start};
use crate::settings::{Flags, Mode};

#[derive(Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(args: ServeArgs, backend: &dyn Backend) -> Result<(), Failure> {
    start(&args.flags, Mode::Serve, backend).await
}
