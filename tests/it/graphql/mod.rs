//! GraphQL in full: every kind of type, subscriptions, uploads, and what the transport takes.

mod attacks;
mod clients;
mod closing;
mod flood;
pub mod shipped;
pub mod socket;
mod stream;
mod subscriptions;
mod types;
mod uploads;

use crate::support::{TestHost, manifest_with, registering};

/// A plugin whose topics anyone may publish to, and listen to in several ways.
pub const NEWS: &str = r#"
builder:objectType("Story", { fields = {
  n = "Int!", title = "String",
  double = { type = "Int!", resolve = function(story) return story.n * 2 end },
} })
builder:queryField("ping", { type = "String!", auth = "public", resolve = function() return "pong" end })
builder:mutationField("publish", { type = "Boolean!", auth = "public",
  args = { topic = "String!", from = "Int!", to = "Int!", pad = { type = "Int", default = 0 } },
  resolve = function(_, args, ctx)
    local pad = string.rep("x", args.pad)
    for n = args.from, args.to do
      ctx.pubsub:publish(args.topic, { n = n, title = "story " .. n .. pad })
    end
    return true
  end })
local function listen(args, ctx) return ctx.pubsub:subscribe(args.topic) end
builder:subscriptionField("stories", { type = "Story!", auth = "public", args = { topic = "String!" },
  subscribe = listen })
builder:subscriptionField("even", { type = "String", auth = "public", args = { topic = "String!", by = "Int" },
  subscribe = listen,
  filter = function(story, args, ctx) return story.n % (args.by or 2) == 0 end,
  map = function(story, args, ctx)
    if story.n == 6 then error("six is broken") end
    return ctx.plugin.id .. " " .. story.n
  end })
builder:subscriptionField("few", { type = "Story!", auth = "public", args = { topic = "String!" },
  buffer = 10, subscribe = listen })
builder:subscriptionField("latest", { type = "Story!", auth = "public", args = { topic = "String!" },
  buffer = 10, overflow = "dropOldest", subscribe = listen })
builder:subscriptionField("slow", { type = "Int!", auth = "public", args = { topic = "String!" },
  subscribe = listen,
  map = function(story)
    local till = os.clock() + 6
    while os.clock() < till do end
    return story.n
  end })
builder:subscriptionField("mine", { type = "Story!", args = { topic = "String!" }, subscribe = listen })
builder:subscriptionField("broken", { type = "Story!", auth = "public",
  subscribe = function(args, ctx) return 5 end })
builder:subscriptionField("refused", { type = "Story!", auth = "public",
  subscribe = function(args, ctx) ctx:fail("too_early", "come back later") end })
"#;

const ENTRY: &str =
    r#""graphql": [{ "type": "subscription", "name": "news", "builderDefinition": "register" }]"#;

/// A host with the plugin [`NEWS`].
pub async fn news() -> TestHost {
    let host = TestHost::start().await;
    write_news(&host, NEWS).await;
    host
}

pub async fn write_news(host: &TestHost, body: &str) {
    // Nothing here is about how long a call may take.
    let text = manifest_with("news", ENTRY, r#", "runtime": { "timeoutMs": 30000 }"#);
    let files = [("manifest.json", text), ("init.lua", registering(body))];
    host.plugin("news", &[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]).await;
}
