//! Requests per second of a Lua field and of the same field in Rust, on one server, with and without
//! the document cache, and of the same field in mercurius with its JIT, which is measured if Node and
//! its packages are there: `npm ci --prefix benches/peers`. Needs `wrk`.

use std::path::Path;
use std::process::Command;

use futures_util::FutureExt;
use moondock::extension::graphql::{
    Auth, Declarations, FieldDef, InputValueDef, ObjectDef, Operation, RootField, TypeDef, TypeRef,
    for_fn,
};
use moondock::value::{Map, Value};

use crate::support::{
    Peer, free_port, median, peer, requests_per_second, serve, write_plugin, wrk,
};

const ROUNDS: usize = 3;
const SECONDS: usize = 6;

const LUA: &str = r#"
builder:objectType("LuaHello", { fields = { id = "ID!", title = "String!", n = "Int!", tags = "[String!]!" } })
builder:queryField("hello", { type = "LuaHello!", auth = "public", args = { id = "ID!" },
    resolve = function(_, args) return { id = args.id, title = "hello", n = 42, tags = { "a", "b" } } end })
"#;

fn ty(text: &str) -> TypeRef {
    TypeRef::parse(text).expect("a type")
}

fn rust_field() -> Declarations {
    let fields = [("id", "ID!"), ("title", "String!"), ("n", "Int!"), ("tags", "[String!]!")];
    let fields = fields.map(|(name, of)| FieldDef::new(name, ty(of))).into();
    let object = ObjectDef { name: "RustHello".into(), fields, ..Default::default() };
    let resolver = for_fn(|_, mut args, _| {
        async move {
            let mut hello = Map::new();
            hello.insert("id".into(), args.shift_remove("id").unwrap_or_default());
            hello.insert("title".into(), "hello".into());
            hello.insert("n".into(), Value::Int(42));
            hello.insert("tags".into(), Value::List(vec!["a".into(), "b".into()]));
            Ok(Value::Map(hello))
        }
        .boxed()
    });
    let field = FieldDef::new("rust_hello", ty("RustHello!"))
        .arg(InputValueDef::new("id", ty("ID!")))
        .resolver(resolver);
    let root = RootField { operation: Operation::Query, field, auth: Auth::Public };
    Declarations {
        owner: "bench".into(),
        types: vec![TypeDef::Object(object)],
        fields: vec![root],
        ..Default::default()
    }
}

fn ask(url: &str, field: &str) -> f64 {
    let script = format!(
        "wrk.method = \"POST\"\nwrk.headers[\"content-type\"] = \"application/json\"\n\
         wrk.body = '{{\"query\":\"{{ {field}(id: \\\\\"x\\\\\") {{ id title n tags }} }}\"}}'\n"
    );
    let text = wrk(&["-t1", &format!("-d{SECONDS}s")], &script, &format!("{url}/graphql"));
    requests_per_second(&text)
}

/// Of Lua with the cache, how many times it must be without, and of mercurius.
const GOAL_UNCACHED: f64 = 1.5;
const GOAL_MERCURIUS: f64 = 2.0;

fn mercurius() -> Option<Peer> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    if !dir.join("node_modules").is_dir() {
        return None;
    }
    let port = free_port();
    peer(port, "", Command::new("node").current_dir(dir).args(["mercurius.mjs", &port.to_string()]))
}

pub fn run() {
    let mut medians = Vec::new();
    match mercurius() {
        None => println!("mercurius is not installed: npm ci --prefix benches/peers"),
        Some(peer) => {
            let all: Vec<f64> = (0..ROUNDS).map(|_| ask(&peer.url, "node_hello")).collect();
            println!("mercurius with JIT, and Pothos: {all:.0?}/s");
            medians.push(("mercurius", GOAL_MERCURIUS, median(all)));
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for cached in [false, true] {
        let served = runtime.block_on(async {
            let served = serve(vec![rust_field()], |s| s.document_cache = cached).await;
            write_plugin(&served.dir.path().join("plugins"), "lua", LUA);
            served.host.manager().install("lua", false).await.expect("it installs");
            served.host.manager().activate("lua").await.expect("it activates");
            served
        });
        let (mut ratios, mut all) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let rust = ask(&served.url, "rust_hello");
            let lua = ask(&served.url, "lua_hello");
            println!("cache {cached}: Rust {rust:.0}/s  Lua {lua:.0}/s  ratio {:.3}", lua / rust);
            ratios.push(lua / rust);
            all.push(lua);
        }
        println!("cache {cached}: median ratio {:.3}", median(ratios));
        runtime.block_on(served.host.stop());
        let lua = median(all);
        if !cached {
            medians.push(("without the cache", GOAL_UNCACHED, lua));
            continue;
        }
        for (name, goal, other) in &medians {
            let verdict = if lua / other >= *goal { "reached" } else { "missed" };
            println!(
                "Lua with the cache, times {name}: {:.2} (goal: {goal}, {verdict})",
                lua / other
            );
        }
    }
}
