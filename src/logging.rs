//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::report::colors_wanted;
use crate::settings::{LogFormat, Settings};

/// Starts logging. Where an embedder has already set up its own, that stays.
pub fn init(settings: &Settings) {
    // The settings have checked the filter.
    let filter = EnvFilter::try_new(&settings.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    let _already_set = match settings.log {
        LogFormat::Text => builder
            .compact()
            .with_ansi(colors_wanted(io::stderr().is_terminal()))
            .with_target(false)
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .try_init(),
    };
}
