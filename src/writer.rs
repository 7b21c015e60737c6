//! Writing behind: what is handed in without waiting is written soon, in its order.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::services::Services;

/// Writes a batch of what was handed in.
pub type Write<T> = fn(Arc<Services>, Vec<T>) -> BoxFuture<'static, ()>;

/// Where things are handed in. Before it is started, they are dropped.
#[derive(Debug)]
pub struct Writer<T>(OnceLock<mpsc::UnboundedSender<Item<T>>>);

#[derive(Debug)]
enum Item<T> {
    Thing(T),
    /// Says when everything before it is written.
    Mark(oneshot::Sender<()>),
}

impl<T> Default for Writer<T> {
    fn default() -> Self {
        Writer(OnceLock::new())
    }
}

impl<T: Send + 'static> Writer<T> {
    /// Begins to write, until the services end.
    pub fn start(&self, services: &Arc<Services>, write: Write<T>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        // A second call would name the same services.
        if self.0.set(sender).is_ok() {
            tokio::spawn(run(Arc::downgrade(services), receiver, write));
        }
    }

    /// Hands something in.
    pub fn send(&self, thing: T) {
        if let Some(writing) = self.0.get() {
            // The writer ends with the services, and then there is nowhere to write to.
            let _ = writing.send(Item::Thing(thing));
        }
    }

    /// Waits until everything handed in so far is written; `false` if the patience is over before.
    pub async fn written(&self, patience: Duration) -> bool {
        let Some(writing) = self.0.get() else { return true };
        let (mark, reached) = oneshot::channel();
        writing.send(Item::Mark(mark)).is_err()
            || tokio::time::timeout(patience, reached).await.is_ok()
    }
}

async fn run<T>(
    services: Weak<Services>,
    mut queue: mpsc::UnboundedReceiver<Item<T>>,
    write: Write<T>,
) {
    while let Some(first) = queue.recv().await {
        let Some(services) = services.upgrade() else { return };
        let (mut batch, mut marks) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Thing(thing) => batch.push(thing),
                Item::Mark(mark) => marks.push(mark),
            }
            next = queue.try_recv().ok();
        }
        if !batch.is_empty() {
            write(services, batch).await;
        }
        for mark in marks {
            // Whoever waited may have lost patience.
            let _ = mark.send(());
        }
    }
}
