//! From saving a file to the first answer with the new behavior.

use std::time::{Duration, Instant};

use crate::support::{report, serve, write_plugin};

const EDITS: usize = 50;

fn body(version: usize) -> String {
    format!(
        "builder:queryField(\"version\", {{ type = \"Int!\", auth = \"public\", \
         resolve = function() return {version} end }})"
    )
}

pub fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for others in [0, 100] {
            let served = serve(Vec::new(), |settings| settings.hot_reload = true).await;
            let plugins = served.dir.path().join("plugins");
            let manager = served.host.manager();
            for i in 0..others {
                let id = format!("other{i}");
                write_plugin(&plugins, &id, &body(0));
                manager.install(&id, false).await.expect("it installs");
                manager.activate(&id).await.expect("it activates");
            }
            write_plugin(&plugins, "edited", &body(0));
            manager.install("edited", false).await.expect("it installs");
            manager.activate("edited").await.expect("it activates");
            let client = moondock::http::new();
            let ask = async || {
                let body = serde_json::json!({ "query": "{ edited_version }" });
                let sent = client.post(format!("{}/graphql", served.url)).json(&body).send().await;
                let answer: serde_json::Value =
                    sent.expect("an answer").json().await.expect("JSON");
                answer["data"]["edited_version"].as_u64().expect("a version, whichever")
            };
            let mut series = Vec::new();
            for version in 1..=EDITS {
                let start = Instant::now();
                let script = plugins.join("edited/init.lua");
                let code = format!(
                    "local M = {{}}\nfunction M.register(builder)\n{}\nend\nreturn M\n",
                    body(version)
                );
                std::fs::write(script, code).expect("it is written");
                while ask().await != version as u64 {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                series.push(start.elapsed());
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            report(&format!("save to first new answer, {others} other plugins"), series);
            served.host.stop().await;
        }
    });
}
