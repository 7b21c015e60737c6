//! A subscription while it runs, whatever carries it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::code;
use crate::extension::graphql::{GraphqlError, Request, Response, Schema, Subscribed};
use crate::plugin::world::World;
use crate::request::RequestContext;
use crate::services::Services;

/// A subscription that has begun.
pub(super) struct Running {
    services: Arc<Services>,
    schema: Arc<Schema>,
    cx: RequestContext,
    subscribed: Subscribed,
    worlds: watch::Receiver<()>,
    ended: bool,
}

/// What a subscription comes to.
pub(super) enum Event {
    Next(Response),
    /// Nothing has happened for a while.
    Quiet,
    /// The last: it cannot go on.
    Failed(Vec<GraphqlError>),
}

impl Running {
    /// Begins a subscription in the World of `cx`.
    ///
    /// # Errors
    /// The answer, if it cannot begin.
    pub(super) async fn begin(
        services: &Arc<Services>,
        schema: Arc<Schema>,
        request: &Request,
        cx: RequestContext,
    ) -> Result<Running, Response> {
        // Before it begins, so that no change is missed.
        let mut worlds = services.worlds.subscribe();
        if !Arc::ptr_eq(&services.world.load(), &cx.world) {
            worlds.mark_changed();
        }
        let subscribed = schema.subscribe(request, &cx).await?;
        let services = Arc::clone(services);
        Ok(Running { services, schema, cx, subscribed, worlds, ended: false })
    }

    /// The next event; `None` when the subscription is complete. With `patience`, it is quiet when nothing has come
    /// for so long. Given up in the middle, this may lose what it was about to give.
    pub(super) async fn next(&mut self, patience: Option<Duration>) -> Option<Event> {
        while !self.ended {
            let message = tokio::select! {
                biased;
                changed = self.worlds.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                    if let Err(errors) = self.follow().await {
                        self.ended = true;
                        return Some(Event::Failed(errors));
                    }
                    continue;
                }
                message = self.subscribed.message() => message,
                () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {
                    return Some(Event::Quiet);
                }
            };
            match message {
                Some(Ok(message)) => {
                    let response = self.subscribed.respond(&self.schema, message, &self.cx).await;
                    if let Some(response) = response {
                        return Some(Event::Next(response));
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Event::Failed(vec![error.into()]));
                }
                None => self.ended = true,
            }
        }
        None
    }

    /// Goes on in the current World, if everything that the subscription has to do with is the same
    /// there. So no subscription keeps an old World alive.
    async fn follow(&mut self) -> Result<(), Vec<GraphqlError>> {
        let world = self.services.world.load_full();
        for owner in self.subscribed.owners() {
            let generation = |world: &World| {
                world.generations().iter().find(|g| g.plugin_id() == &**owner).cloned()
            };
            let (code, what) = match (generation(&self.cx.world), generation(&world)) {
                (None, None) => continue,
                (Some(old), Some(new)) if Arc::ptr_eq(&old, &new) => continue,
                (_, Some(_)) => (code::PLUGIN_RELOADED, "was reloaded; subscribe again"),
                (_, None) => (code::PLUGIN_DEACTIVATED, "was deactivated"),
            };
            let message = format!("The subscription has ended: the plugin \"{owner}\" {what}.");
            return Err(vec![GraphqlError::new(code, message).with("pluginId", &**owner)]);
        }
        let Some(schema) = world.part::<Schema>() else {
            let message = "The subscription has ended: the server is stopping.";
            return Err(vec![GraphqlError::new(code::PLUGIN_DEACTIVATED, message)]);
        };
        self.cx.world = world;
        self.subscribed.move_to(&schema, &self.cx).await.map_err(|refused| refused.errors)?;
        self.schema = schema;
        Ok(())
    }
}
