//! The ephemeral broadcast behind `ctx.pubsub` and subscriptions: within this process, to whoever listens
//! right now.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::Error;
use crate::extension::graphql::Messages;
use crate::value::Value;

/// How many messages may wait for a listener, unless it says otherwise.
pub const BUFFER: usize = 1_024;
/// The most messages that may wait for a listener.
pub const MAX_BUFFER: usize = 65_536;

/// Whose the host's own topics are. No plugin has this id.
pub const HOST: &str = "";

/// The code of a subscription that ended because its client was too slow.
pub const OVERFLOW_CODE: &str = "subscription_overflow";

/// By plugin, topic and the listener's number.
type Topics = HashMap<String, HashMap<String, HashMap<u64, Arc<Inbox>>>>;

/// The topics of all plugins that somebody listens to.
#[derive(Debug, Default)]
pub struct Pubsub {
    topics: Arc<Mutex<Topics>>,
    next: AtomicU64,
}

/// What happens to a listener for whom too many messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It gets those that wait, and then its subscription ends.
    #[default]
    End,
    /// The oldest of them are lost.
    DropOldest,
}

/// Somebody who listens, until it is dropped. Clones share what they have received.
#[derive(Debug, Clone)]
pub struct Subscription(Arc<Listening>);

/// Messages were lost because they came too fast: this many.
#[derive(Debug)]
pub struct Missed {
    pub count: u64,
    /// Whether there will be no more.
    pub ends: bool,
}

#[derive(Debug)]
struct Listening {
    plugin_id: String,
    topic: String,
    number: u64,
    inbox: Arc<Inbox>,
    topics: Arc<Mutex<Topics>>,
}

/// The messages that wait for a listener. Listeners share the messages themselves.
#[derive(Debug)]
struct Inbox {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug)]
struct Waiting {
    messages: VecDeque<Arc<Value>>,
    capacity: usize,
    overflow: Overflow,
    missed: u64,
}

impl Inbox {
    fn put(&self, message: &Arc<Value>) {
        let mut waiting = self.waiting.lock();
        if waiting.messages.len() >= waiting.capacity {
            waiting.missed += 1;
            match waiting.overflow {
                Overflow::End => return,
                Overflow::DropOldest => waiting.messages.pop_front(),
            };
        } else if waiting.overflow == Overflow::End && waiting.missed > 0 {
            // What comes after a gap is not in order.
            waiting.missed += 1;
            return;
        }
        waiting.messages.push_back(Arc::clone(message));
        drop(waiting);
        self.news.notify_one();
    }

    fn take(&self) -> Option<Result<Value, Missed>> {
        let mut waiting = self.waiting.lock();
        match waiting.overflow {
            Overflow::DropOldest if waiting.missed > 0 => {
                let count = std::mem::take(&mut waiting.missed);
                Some(Err(Missed { count, ends: false }))
            }
            _ => match waiting.messages.pop_front() {
                Some(message) => Some(Ok(Arc::unwrap_or_clone(message))),
                None if waiting.missed > 0 => {
                    Some(Err(Missed { count: waiting.missed, ends: true }))
                }
                None => None,
            },
        }
    }
}

impl Pubsub {
    /// Gives a message to those who listen to a plugin's topic.
    pub fn publish(&self, plugin_id: &str, topic: &str, payload: Value) {
        let topics = self.topics.lock();
        if let Some(listeners) = topics.get(plugin_id).and_then(|topics| topics.get(topic)) {
            let payload = Arc::new(payload);
            for inbox in listeners.values() {
                inbox.put(&payload);
            }
        }
    }

    /// Whether somebody listens to a plugin's topic.
    pub fn is_heard(&self, plugin_id: &str, topic: &str) -> bool {
        self.topics.lock().get(plugin_id).is_some_and(|topics| topics.contains_key(topic))
    }

    /// Listens to a plugin's topic.
    pub fn subscribe(&self, plugin_id: &str, topic: &str) -> Subscription {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let inbox = Arc::new(Inbox {
            waiting: Mutex::new(Waiting {
                messages: VecDeque::new(),
                capacity: BUFFER,
                overflow: Overflow::DropOldest,
                missed: 0,
            }),
            news: Notify::new(),
        });
        let (plugin_id, topic) = (plugin_id.to_owned(), topic.to_owned());
        let mut topics = self.topics.lock();
        let of_plugin = topics.entry(plugin_id.clone()).or_default();
        of_plugin.entry(topic.clone()).or_default().insert(number, Arc::clone(&inbox));
        let topics = Arc::clone(&self.topics);
        Subscription(Arc::new(Listening { plugin_id, topic, number, inbox, topics }))
    }
}

impl Subscription {
    /// The topic, as the plugin calls it.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// How many messages may wait, and what happens to more.
    pub fn limit(&self, capacity: usize, overflow: Overflow) {
        let mut waiting = self.0.inbox.waiting.lock();
        waiting.capacity = capacity;
        waiting.overflow = overflow;
    }

    /// The next message.
    ///
    /// # Errors
    /// When messages were lost; the next call goes on after them, unless that was the end.
    pub async fn receive(&self) -> Result<Value, Missed> {
        loop {
            if let Some(result) = self.0.inbox.take() {
                return result;
            }
            self.0.inbox.news.notified().await;
        }
    }

    /// All messages from now on, as a subscription hears them.
    pub fn messages(self) -> Messages {
        Box::pin(stream::unfold(Some(self), |listening| async {
            let listening = listening?;
            loop {
                match listening.receive().await {
                    Ok(message) => return Some((Ok(message), Some(listening))),
                    Err(Missed { ends: false, count }) => {
                        tracing::debug!(topic = %listening.topic(), count, "messages were dropped");
                    }
                    Err(Missed { ends: true, count }) => {
                        let error = Error::new(
                            OVERFLOW_CODE,
                            format!(
                                "The subscription has ended: {count} messages came faster than they were \
                                 received."
                            ),
                        );
                        return Some((Err(error), None));
                    }
                }
            }
        }))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut topics = self.topics.lock();
        let Some(of_plugin) = topics.get_mut(&self.plugin_id) else { return };
        if let Some(listeners) = of_plugin.get_mut(&self.topic) {
            listeners.remove(&self.number);
            if listeners.is_empty() {
                of_plugin.remove(&self.topic);
            }
        }
        if of_plugin.is_empty() {
            topics.remove(&self.plugin_id);
        }
    }
}
