//! Plugins that bring containers, on a real engine.

mod compose;
mod crashes;
mod engine;
mod hostile;
mod outages;
mod summarizer;
mod watching;
