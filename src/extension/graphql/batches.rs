//! Batch resolvers: all parents of a field at one level are resolved in one call, also those under
//! different aliases with equal arguments.
//!
//! A field that is reached waits here. When the rest of the execution can do nothing more, the fields for
//! which no further parents can come are called. Further parents can come from whatever is being resolved
//! right now and has the field below it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_channel::oneshot;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;

use super::field::guarded;
use super::model::Resolve;
use super::plan::FieldId;
use super::tables::Field;
use crate::error::Error;
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// The batch fields of one execution.
#[derive(Default)]
pub(super) struct Batches(Mutex<State>);

#[derive(Default)]
struct State {
    /// How much is being resolved that has a field below it.
    coming: HashMap<FieldId, usize>,
    /// In the order in which they began.
    groups: Vec<Group>,
}

/// The parents of one field with the same arguments.
struct Group {
    field: Arc<Field>,
    args: Map,
    /// The batch fields below it.
    below: Vec<FieldId>,
    parents: Vec<Value>,
    /// The index of each parent, by its address: under two aliases it is the same.
    known: HashMap<usize, usize>,
    waiting: Vec<(usize, oneshot::Sender<Result<Value, Error>>)>,
}

/// While it lives, parents of these fields may come.
pub(super) struct Coming<'b> {
    batches: &'b Batches,
    fields: Vec<FieldId>,
}

/// Whether an execution wants to be polled again.
#[derive(Default)]
struct Signal {
    is_woken: AtomicBool,
    /// Who polls it.
    task: AtomicWaker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.task.wake();
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let mut state = self.batches.0.lock();
        for field in &self.fields {
            if let Some(count) = state.coming.get_mut(field) {
                *count -= 1;
            }
        }
    }
}

impl Batches {
    /// Announces that parents of these fields may come.
    pub(super) fn coming(&self, fields: impl Iterator<Item = FieldId>) -> Option<Coming<'_>> {
        let fields: Vec<FieldId> = fields.collect();
        if fields.is_empty() {
            return None;
        }
        let mut state = self.0.lock();
        for field in &fields {
            *state.coming.entry(*field).or_default() += 1;
        }
        drop(state);
        Some(Coming { batches: self, fields })
    }

    /// The value of a field for one parent, once all of them are there. `identity` is the parent's
    /// address; it is not used as such.
    pub(super) async fn load(
        &self,
        field: &Arc<Field>,
        (identity, parent): (usize, Value),
        args: Map,
        below: impl Iterator<Item = FieldId>,
    ) -> Result<Value, Error> {
        let receiver = self.enqueue(field, (identity, parent), args, below);
        // A group is dropped without an answer only with the whole execution.
        receiver.await.unwrap_or_else(|_| Err(Error::unexpected("the batch was given up")))
    }

    fn enqueue(
        &self,
        field: &Arc<Field>,
        (identity, parent): (usize, Value),
        args: Map,
        below: impl Iterator<Item = FieldId>,
    ) -> oneshot::Receiver<Result<Value, Error>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.0.lock();
        let is_same = |group: &Group| Arc::ptr_eq(&group.field, field) && group.args == args;
        let position = state.groups.iter().position(is_same).unwrap_or_else(|| {
            state.groups.push(Group {
                field: Arc::clone(field),
                args,
                below: Vec::new(),
                parents: Vec::new(),
                known: HashMap::new(),
                waiting: Vec::new(),
            });
            state.groups.len() - 1
        });
        let group = &mut state.groups[position];
        for id in below {
            if !group.below.contains(&id) {
                group.below.push(id);
            }
        }
        let index = *group.known.entry(identity).or_insert_with(|| {
            group.parents.push(parent);
            group.parents.len() - 1
        });
        group.waiting.push((index, sender));
        receiver
    }

    /// The groups for which no more parents can come, leaving the others.
    fn ready(&self) -> Vec<Group> {
        let mut state = self.0.lock();
        let groups = std::mem::take(&mut state.groups);
        let (ready, rest) = groups.into_iter().partition(|group| {
            state.coming.get(&FieldId::of(&group.field)).is_none_or(|count| *count == 0)
        });
        state.groups = rest;
        ready
    }

    /// Runs an execution, and its batches whenever it cannot go on without them.
    pub(super) async fn run<T>(
        &self,
        cx: &RequestContext,
        execution: impl Future<Output = T>,
    ) -> T {
        let mut execution = pin!(execution);
        let mut calls: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        poll_fn(|task| {
            signal.task.register(task.waker());
            loop {
                signal.is_woken.store(false, Ordering::SeqCst);
                if let Poll::Ready(done) = execution.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return Poll::Ready(done);
                }
                // It only lets others go first; the task will be polled again.
                if signal.is_woken.load(Ordering::SeqCst) {
                    return Poll::Pending;
                }
                for group in self.ready() {
                    calls.push(self.call(group, cx).boxed());
                }
                let mut has_news = false;
                while let Poll::Ready(Some(())) = calls.poll_next_unpin(task) {
                    has_news = true;
                }
                if !has_news {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    async fn call(&self, group: Group, cx: &RequestContext) {
        let _coming = self.coming(group.below.iter().copied());
        let count = group.parents.len();
        let Some(Resolve::Batch(resolver)) = &group.field.resolver else { return };
        let result = guarded(resolver.resolve_all(group.parents, group.args, cx)).await;
        let result = result.and_then(|values| match values.len() == count {
            true => Ok(values),
            false => Err(Error::unexpected(format!(
                "the batch resolver was given {count} parents and returned {} values; it must return \
                 one for each, in their order",
                values.len()
            ))),
        });
        // Whoever waited for it may be gone.
        match result {
            Ok(mut values) => {
                let mut left = vec![0_usize; count];
                group.waiting.iter().for_each(|(index, _)| left[*index] += 1);
                for (index, sender) in group.waiting {
                    left[index] -= 1;
                    let _ = sender.send(Ok(match left[index] {
                        0 => std::mem::take(&mut values[index]),
                        _ => values[index].clone(),
                    }));
                }
            }
            Err(error) => {
                for (_, sender) in group.waiting {
                    let _ = sender.send(Err(error.clone()));
                }
            }
        }
    }
}

/// As `join_all`, but every future has been polled once when this first waits: what they come to without
/// waiting is all there.
pub(super) async fn join_begun<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut futures: Vec<MaybeDone<BoxFuture<'_, T>>> =
        futures.into_iter().map(maybe_done).collect();
    let mut begun = false;
    poll_fn(|task| {
        if !std::mem::replace(&mut begun, true) {
            for future in &mut futures {
                // Those that are done keep their result.
                let _ = future.poll_unpin(task);
            }
        }
        Poll::Ready(())
    })
    .await;
    let mut done: Vec<Option<T>> = Vec::with_capacity(futures.len());
    let mut left = FuturesUnordered::new();
    for (index, mut future) in futures.into_iter().enumerate() {
        let result = std::pin::Pin::new(&mut future).take_output();
        if result.is_none() {
            left.push(async move {
                (&mut future).await;
                (index, std::pin::Pin::new(&mut future).take_output())
            });
        }
        done.push(result);
    }
    while let Some((index, result)) = left.next().await {
        done[index] = result;
    }
    done.into_iter().flatten().collect()
}
