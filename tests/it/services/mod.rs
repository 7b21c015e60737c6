//! Plugins that bring containers, on a real engine.

mod compose;
mod engine;
mod hostile;
mod summarizer;
mod watching;
