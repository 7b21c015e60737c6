//! Plugins that bring containers, on a real engine.

mod engine;
mod summarizer;
