//! Steps that can be taken back.

use std::future::Future;

use futures_util::future::BoxFuture;

/// What undoes the steps taken so far. An operation that fails runs it; one that succeeds forgets
/// it.
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<(&'static str, BoxFuture<'a, ()>)>,
}

impl<'a> Undo<'a> {
    /// Adds what takes back the step that was just taken. It handles its own failure.
    pub fn push(&mut self, step: &'static str, undo: impl Future<Output = ()> + Send + 'a) {
        self.steps.push((step, Box::pin(undo)));
    }

    /// Takes everything back, the last step first.
    pub async fn run(self) {
        for (step, undo) in self.steps.into_iter().rev() {
            tracing::debug!(step, "undoing");
            undo.await;
        }
    }
}
