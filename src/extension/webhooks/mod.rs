//! Webhooks: functions of plugins that answer HTTP requests.
//!
//! A request comes in at `/api/plugins/{pluginId}/webhook/{path}`. What is unknown, too much or not signed
//! as the manifest wants is refused here; everything else goes straight to the plugin's function.

mod answer;
mod replay;
mod request;
mod routes;
pub mod verify;

use std::sync::Arc;

use async_trait::async_trait;

pub use answer::{Answer, Reply, answer_of};
pub use replay::{Claim, claim, settle};
pub use request::{Content, Incoming, MalformedBody, query};
pub use routes::{Found, WebhookTable};

use super::{Conflict, ExtensionPoint, Loading};
use crate::error::Result;
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::{SecretSource, Verify};
use crate::store::{Session, webhook_messages};
use routes::Routes;

/// The extension point.
#[derive(Debug)]
pub struct Webhooks;

/// A function that answers requests to one path with one method.
#[derive(Debug)]
pub struct Webhook {
    /// As declared, without a slash at the end.
    pub path: String,
    pub method: String,
    /// The key of the plugin's function.
    pub handler: Arc<str>,
    /// How the sender proves who they are.
    pub verify: Option<Verification>,
    /// The names of the `:params`, in the order of the path.
    params: Vec<String>,
}

/// How a webhook's requests are verified.
#[derive(Debug)]
pub struct Verification {
    pub declared: Verify,
    /// The key of the function that knows the secrets, if it is not the configuration.
    pub secret_handler: Option<Arc<str>>,
}

#[async_trait]
impl ExtensionPoint for Webhooks {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let mut routes = Routes::default();
        for (i, entry) in loading.manifest.extension_points.webhooks.iter().enumerate() {
            let wanted_by = format!("extensionPoints.webhooks[{i}].handler");
            let handler = declare(loading, &entry.file, &entry.handler, &wanted_by).await;
            let mut verify = None;
            if let Some(declared) = &entry.verify {
                let secret_handler = match &declared.secret {
                    SecretSource::Config(_) => None,
                    SecretSource::Handler(name) => {
                        let wanted_by =
                            format!("extensionPoints.webhooks[{i}].verify.secretHandler");
                        declare(loading, &entry.file, name, &wanted_by).await
                    }
                };
                verify = Some(Verification { declared: declared.clone(), secret_handler });
            }
            if let Some(handler) = handler {
                routes.add(&entry.path, &entry.method, handler, verify);
            }
        }
        loading.parts.insert(Arc::new(routes));
    }

    fn assemble(
        &self,
        generations: &[Arc<Generation>],
        world: &mut Parts,
    ) -> Result<(), Vec<Conflict>> {
        world.insert(Arc::new(WebhookTable::of(generations)));
        Ok(())
    }

    async fn uninstall(&self, plugin_id: &str, session: &Session) -> Result<()> {
        Ok(webhook_messages::forget(session, plugin_id).await?)
    }
}

/// Makes a function callable and gives its key.
async fn declare(
    loading: &mut Loading<'_>,
    file: &str,
    name: &str,
    wanted_by: &str,
) -> Option<Arc<str>> {
    let function = loading.function(file, name, wanted_by).await?;
    let key: Arc<str> = format!("webhook:{file}:{name}").into();
    loading.handler(Arc::clone(&key), function);
    Some(key)
}
