//! The ephemeral broadcast behind `ctx.pubsub`: within this process, to whoever listens right now.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, broadcast};

use crate::value::Value;

/// How many messages a subscriber may fall behind.
const BACKLOG: usize = 256;

type Topics = HashMap<(String, String), broadcast::Sender<Value>>;

/// The topics of all plugins that somebody listens to.
#[derive(Debug, Default)]
pub struct Pubsub(Arc<Mutex<Topics>>);

/// Somebody who listens. Clones share what they have received.
#[derive(Debug, Clone)]
pub struct Subscription {
    key: (String, String),
    receiver: Arc<AsyncMutex<broadcast::Receiver<Value>>>,
    /// Ends the topic with its last subscriber.
    _end: Arc<End>,
}

/// Messages were lost because they came too fast: this many.
#[derive(Debug)]
pub struct Missed(pub u64);

#[derive(Debug)]
struct End {
    key: (String, String),
    topics: Arc<Mutex<Topics>>,
}

impl Pubsub {
    /// Gives a message to those who listen to a plugin's topic.
    pub fn publish(&self, plugin_id: &str, topic: &str, payload: Value) {
        let topics = self.0.lock();
        if let Some(sender) = topics.get(&(plugin_id.to_owned(), topic.to_owned())) {
            // The last listener may be leaving.
            let _ = sender.send(payload);
        }
    }

    /// Listens to a plugin's topic.
    pub fn subscribe(&self, plugin_id: &str, topic: &str) -> Subscription {
        let key = (plugin_id.to_owned(), topic.to_owned());
        let mut topics = self.0.lock();
        let sender = topics.entry(key.clone()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        let receiver = Arc::new(AsyncMutex::new(sender.subscribe()));
        let end = Arc::new(End { key: key.clone(), topics: Arc::clone(&self.0) });
        Subscription { key, receiver, _end: end }
    }
}

impl Subscription {
    /// The topic, as the plugin calls it.
    pub fn topic(&self) -> &str {
        &self.key.1
    }

    /// The next message.
    ///
    /// # Errors
    /// When messages were lost; the next call goes on after them.
    pub async fn receive(&mut self) -> Result<Value, Missed> {
        match self.receiver.lock().await.recv().await {
            Ok(payload) => Ok(payload),
            Err(broadcast::error::RecvError::Lagged(count)) => Err(Missed(count)),
            // The topic lives as long as this subscription.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut topics = self.topics.lock();
        // The receiver was dropped before this, as the fields are in this order.
        if topics.get(&self.key).is_some_and(|sender| sender.receiver_count() == 0) {
            topics.remove(&self.key);
        }
    }
}
