//! The ephemeral broadcast behind `ctx.pubsub` and subscriptions: within this process, to whoever listens
//! right now.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::Error;
use crate::value::Value;

/// How many messages may wait for a listener, unless it says otherwise.
pub const BUFFER: usize = 1_024;
/// The most messages that may wait for a listener.
pub const MAX_BUFFER: usize = 65_536;

/// Whose the host's own topics are. No plugin has this id.
pub const HOST: &str = "";

/// The code of a subscription that ended because its client was too slow.
pub const OVERFLOW_CODE: &str = "subscription_overflow";

/// By plugin and name.
type Topics = HashMap<String, HashMap<String, Arc<Topic>>>;

/// The topics of all plugins that somebody listens to.
#[derive(Debug, Default)]
pub struct Pubsub(Arc<Mutex<Topics>>);

/// What happens to a listener for whom too many messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Its subscription ends, since it would miss some.
    #[default]
    End,
    /// The oldest of them are lost.
    DropOldest,
}

/// Somebody who listens, until it is dropped. Clones share what they have received.
#[derive(Debug, Clone)]
pub struct Subscription(Arc<Listener>);

/// Messages were lost because they came too fast: this many.
#[derive(Debug, PartialEq)]
pub struct Missed {
    pub count: u64,
    /// Whether there will be no more.
    pub ends: bool,
}

/// The messages of a topic that somebody has yet to read. All listeners share them, so publishing one
/// costs the same however many listen.
#[derive(Debug, Default)]
struct Topic {
    log: Mutex<Log>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Log {
    /// The number of the first entry.
    base: u64,
    entries: VecDeque<Entry>,
    listeners: usize,
    /// The most messages that may wait for any of the listeners.
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    message: Arc<Value>,
    /// How many have yet to read it.
    unread: usize,
}

#[derive(Debug)]
struct Listener {
    plugin_id: String,
    name: String,
    topic: Arc<Topic>,
    position: Mutex<Position>,
    topics: Arc<Mutex<Topics>>,
}

#[derive(Debug)]
struct Position {
    /// The number of the message that comes next.
    at: u64,
    capacity: usize,
    overflow: Overflow,
}

impl Log {
    fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    fn push(&mut self, message: Value) {
        if self.listeners == 0 {
            return;
        }
        self.entries.push_back(Entry { message: Arc::new(message), unread: self.listeners });
        // Whoever has not read it by now has too many waiting.
        while self.entries.len() > self.capacity {
            self.entries.pop_front();
            self.base += 1;
        }
    }

    /// Marks messages as read by one listener, and forgets those that all have read. Gives the last.
    fn read(&mut self, from: u64, count: u64) -> Option<Arc<Value>> {
        let mut last = None;
        for number in from.max(self.base)..from + count {
            let Ok(index) = usize::try_from(number - self.base) else { break };
            if let Some(entry) = self.entries.get_mut(index) {
                entry.unread -= 1;
                last = Some(Arc::clone(&entry.message));
            }
        }
        while self.entries.front().is_some_and(|entry| entry.unread == 0) {
            self.entries.pop_front();
            self.base += 1;
        }
        last
    }
}

impl Pubsub {
    /// Gives a message to those who listen to a plugin's topic.
    pub fn publish(&self, plugin_id: &str, topic: &str, payload: Value) {
        let topic = self.0.lock().get(plugin_id).and_then(|topics| topics.get(topic)).cloned();
        if let Some(topic) = topic {
            topic.log.lock().push(payload);
            topic.news.notify_waiters();
        }
    }

    /// Whether somebody listens to a plugin's topic.
    pub fn is_heard(&self, plugin_id: &str, topic: &str) -> bool {
        self.0.lock().get(plugin_id).is_some_and(|topics| topics.contains_key(topic))
    }

    /// Listens to a plugin's topic. Of too many messages the oldest are lost, until
    /// [`Subscription::limit`] says otherwise.
    pub fn subscribe(&self, plugin_id: &str, topic: &str) -> Subscription {
        let (plugin_id, name) = (plugin_id.to_owned(), topic.to_owned());
        let mut topics = self.0.lock();
        let of_plugin = topics.entry(plugin_id.clone()).or_default();
        let topic = Arc::clone(of_plugin.entry(name.clone()).or_default());
        let at = {
            let mut log = topic.log.lock();
            log.listeners += 1;
            log.capacity = log.capacity.max(BUFFER);
            log.end()
        };
        drop(topics);
        let position = Position { at, capacity: BUFFER, overflow: Overflow::DropOldest };
        let topics = Arc::clone(&self.0);
        let position = Mutex::new(position);
        Subscription(Arc::new(Listener { plugin_id, name, topic, position, topics }))
    }
}

impl Subscription {
    /// The topic, as the plugin calls it.
    pub fn topic(&self) -> &str {
        &self.0.name
    }

    /// How many messages may wait, and what happens to more.
    pub fn limit(&self, capacity: usize, overflow: Overflow) {
        let mut position = self.0.position.lock();
        position.capacity = capacity;
        position.overflow = overflow;
        let mut log = self.0.topic.log.lock();
        log.capacity = log.capacity.max(capacity);
    }

    /// The next message.
    ///
    /// # Errors
    /// When messages were lost; the next call goes on after them, unless that was the end.
    pub async fn receive(&self) -> Result<Value, Missed> {
        loop {
            // Before looking, so that what comes right after is noticed.
            let news = self.0.topic.news.notified();
            if let Some(result) = self.take() {
                return result;
            }
            news.await;
        }
    }

    fn take(&self) -> Option<Result<Value, Missed>> {
        let mut position = self.0.position.lock();
        let mut log = self.0.topic.log.lock();
        let waiting = log.end() - position.at;
        let capacity = position.capacity as u64;
        if waiting > capacity {
            let ends = position.overflow == Overflow::End;
            let count = if ends { waiting } else { waiting - capacity };
            log.read(position.at, count);
            position.at += count;
            return Some(Err(Missed { count, ends }));
        }
        if waiting == 0 {
            return None;
        }
        let message = log.read(position.at, 1)?;
        position.at += 1;
        drop(log);
        Some(Ok(Arc::unwrap_or_clone(message)))
    }

    /// All messages from now on, as a subscription hears them.
    pub fn messages(self) -> BoxStream<'static, Result<Value, Error>> {
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

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.topics.lock();
        let is_last = {
            let mut log = self.topic.log.lock();
            let at = self.position.get_mut().at;
            let rest = log.end() - at;
            log.read(at, rest);
            log.listeners -= 1;
            log.listeners == 0
        };
        // Nobody begins to listen without the lock of all topics.
        if is_last && let Some(of_plugin) = topics.get_mut(&self.plugin_id) {
            of_plugin.remove(&self.name);
            if of_plugin.is_empty() {
                topics.remove(&self.plugin_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now(subscription: &Subscription) -> Option<Result<i64, Missed>> {
        let received = subscription.receive().now_or_never()?;
        Some(received.map(|value| match value {
            Value::Int(n) => n,
            other => panic!("{other:?}"),
        }))
    }

    fn publish(pubsub: &Pubsub, numbers: std::ops::RangeInclusive<i64>) {
        numbers.for_each(|n| pubsub.publish("p", "t", Value::Int(n)));
    }

    #[test]
    fn each_listener_hears_what_comes_after_it_began_in_order() {
        let pubsub = Pubsub::default();
        publish(&pubsub, 1..=3);
        let first = pubsub.subscribe("p", "t");
        publish(&pubsub, 4..=5);
        let second = pubsub.subscribe("p", "t");
        publish(&pubsub, 6..=6);
        pubsub.publish("q", "t", Value::Int(7));
        assert_eq!(
            [now(&first), now(&first), now(&first)],
            [Some(Ok(4)), Some(Ok(5)), Some(Ok(6))]
        );
        assert_eq!(now(&first), None);
        assert_eq!((now(&second), now(&second)), (Some(Ok(6)), None));
    }

    #[test]
    fn too_many_messages_end_a_subscription_or_lose_it_the_oldest() {
        let pubsub = Pubsub::default();
        let (ending, losing, patient) =
            (pubsub.subscribe("p", "t"), pubsub.subscribe("p", "t"), pubsub.subscribe("p", "t"));
        ending.limit(3, Overflow::End);
        losing.limit(3, Overflow::DropOldest);
        publish(&pubsub, 1..=3);
        assert_eq!(now(&ending), Some(Ok(1)));
        publish(&pubsub, 4..=10);
        assert_eq!(now(&ending), Some(Err(Missed { count: 9, ends: true })));
        assert_eq!(now(&losing), Some(Err(Missed { count: 7, ends: false })));
        assert_eq!([now(&losing), now(&losing)], [Some(Ok(8)), Some(Ok(9))]);
        for n in 1..=10 {
            assert_eq!(now(&patient), Some(Ok(n)));
        }
    }

    #[test]
    fn what_all_have_read_is_forgotten_and_nobody_keeps_more_than_is_allowed() {
        let pubsub = Pubsub::default();
        let (reading, deaf) = (pubsub.subscribe("p", "t"), pubsub.subscribe("p", "t"));
        let kept = |pubsub: &Pubsub| pubsub.0.lock()["p"]["t"].log.lock().entries.len();
        publish(&pubsub, 1..=100);
        assert_eq!(kept(&pubsub), 100);
        for n in 1..=100 {
            assert_eq!(now(&reading), Some(Ok(n)));
        }
        assert_eq!(kept(&pubsub), 100);
        publish(&pubsub, 101..=10_000);
        assert_eq!(kept(&pubsub), BUFFER);
        drop(deaf);
        let behind = 9_900 - BUFFER as u64;
        assert_eq!(now(&reading), Some(Err(Missed { count: behind, ends: false })));
        while now(&reading).is_some() {}
        assert_eq!(kept(&pubsub), 0);
        drop(reading);
        assert!(!pubsub.is_heard("p", "t") && pubsub.0.lock().is_empty());
    }
}
