//! What one plugin does to itself is no concern of the others.

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use crate::support::{REGISTER, TestHost, getting, manifest_with, registering};

/// How long the busy plugin's calls may take.
const TIMEOUT: Duration = Duration::from_millis(200);

fn on_workers(count: usize, test: impl Future<Output = ()> + Send + 'static) {
    let runtime = Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap();
    // As a task, so that it runs on the workers too and they are all there is.
    runtime.block_on(async { tokio::spawn(test).await.unwrap() });
}

fn files<'a>(manifest: &'a str, main: &'a str) -> [(&'a str, &'a str); 2] {
    [("manifest.json", manifest), ("init.lua", main)]
}

async fn add(host: &TestHost, id: &str, runtime: &str, main: &str) {
    let more = format!(r#", "runtime": {{ {runtime} }}"#);
    host.plugin(id, &files(&manifest_with(id, REGISTER, &more), main)).await;
}

async fn ask(host: &TestHost, query: &str) -> Value {
    host.graphql(None, query, json!({})).await
}

/// Asks the plugin `calm` until `stop`; how long each answer took, sorted.
async fn calm(client: reqwest::Client, url: String, stop: CancellationToken) -> Vec<Duration> {
    let mut taken = Vec::new();
    while !stop.is_cancelled() {
        let start = Instant::now();
        let body = json!({ "query": "{ calm_get }" });
        let answer = client.post(&url).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        taken.push(start.elapsed());
        assert_eq!(answer, json!({ "data": { "calm_get": 1 } }));
    }
    taken.sort();
    taken
}

/// One plugin runs `attack` ten times in a row while another is asked.
async fn attacked(attack: &'static str) {
    let host = TestHost::start().await;
    add(&host, "calm", r#""timeoutMs": 5000"#, &getting("return 1")).await;
    add(&host, "busy", r#""timeoutMs": 200, "memoryMb": 512"#, &getting(attack)).await;
    let stop = CancellationToken::new();
    let url = format!("{}/graphql", host.url);
    let calm = tokio::spawn(calm(host.client.clone(), url, stop.clone()));
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let start = Instant::now();
        let answer = ask(&host, "{ busy_get }").await;
        slowest = slowest.max(start.elapsed());
        assert_eq!(answer["errors"][0]["extensions"]["code"], "unexpected", "{answer}");
        assert!(answer["errors"][0]["extensions"]["requestId"].is_string());
    }
    stop.cancel();
    let taken = calm.await.unwrap();
    let p99 = taken[taken.len() * 99 / 100];
    println!("{attack}: slowest {slowest:?}; {} calm answers, p99 {p99:?}", taken.len());
    assert!(slowest < TIMEOUT + Duration::from_millis(200), "answered after {slowest:?}");
    assert!(taken.len() > 100, "only {} answers in two seconds", taken.len());
    assert!(p99 < Duration::from_millis(100), "p99 is {p99:?}");
    host.stop().await;
}

#[test]
fn an_endless_loop_leaves_others_alone() {
    on_workers(2, attacked("while true do end"));
}

#[test]
fn an_endless_loop_leaves_others_alone_on_one_worker() {
    on_workers(1, attacked("while true do end"));
}

/// Neither a comparator nor a pattern can be suspended.
#[test]
fn what_cannot_be_suspended_leaves_others_alone_on_one_worker() {
    on_workers(1, attacked("table.sort({ 1, 2 }, function() while true do end end)"));
    on_workers(1, attacked("return string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))"));
}

#[test]
fn endless_yields_leave_others_alone_on_one_worker() {
    on_workers(1, attacked("while true do coroutine.yield() end"));
}

#[test]
fn a_memory_bomb_leaves_others_alone() {
    let bomb = "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end";
    on_workers(2, attacked(bomb));
}

/// Long library calls in a row, which nothing interrupts.
#[test]
fn a_stuck_vm_leaves_others_alone() {
    on_workers(2, attacked("local s = ('x'):rep(8e6) while true do local _ = s:reverse() end"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_vm_is_replaced_with_fresh_state() {
    let host = TestHost::start().await;
    let main = "local calls = 0\n".to_owned()
        + &getting("calls += 1\nif calls == 3 then while true do end end\nreturn calls");
    add(&host, "counter", r#""timeoutMs": 100"#, &main).await;
    let query = "{ counter_get }";
    for expected in [json!(1), json!(2), Value::Null, json!(1), json!(2), Value::Null, json!(1)] {
        assert_eq!(ask(&host, query).await["data"]["counter_get"], expected);
    }
    host.stop().await;
}

/// Loading takes longer than a call may: the call that finds no VM fails, a later one does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_that_loads_slowly_comes_back() {
    let host = TestHost::start().await;
    let slow = "local from = os.clock()\nwhile os.clock() - from < 0.4 do end\n".to_owned();
    let main = slow
        + &registering(
            r#"for name, body in { loop = function() while true do end end, one = function() return 1 end } do
                builder:queryField(name, { type = "Int", auth = "public", resolve = body }) end"#,
        );
    add(&host, "slow", r#""timeoutMs": 50"#, &main).await;
    assert!(ask(&host, "{ slow_loop }").await["errors"].is_array());
    assert_eq!(ask(&host, "{ slow_one }").await["errors"][0]["extensions"]["code"], "unexpected");
    host.until("ada", "{ slow_one }", |answer| answer["data"]["slow_one"] == 1).await;
    host.stop().await;
}

/// Calls that are in the VM when another call in it is killed or abandoned finish as if alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_survive_the_discarding_of_their_vm() {
    let host = TestHost::start().await;
    let main = registering(
        r#"builder:queryField("work", { type = "Int", auth = "public", resolve = function()
               local from, n = os.clock(), 0
               while os.clock() - from < 0.05 do n += 1 end
               return 7
           end })
           builder:queryField("hang", { type = "Int", auth = "public", resolve = function()
               while true do coroutine.yield() end
           end })"#,
    );
    add(&host, "shared", r#""timeoutMs": 1500"#, &main).await;
    let hang = ask(&host, "{ shared_hang }");
    let work = async {
        let mut done = 0;
        for _ in 0..5 {
            let both = "{ a: shared_work b: shared_work c: shared_work }";
            let answer = ask(&host, both).await;
            assert_eq!(answer, json!({ "data": { "a": 7, "b": 7, "c": 7 } }));
            done += 1;
            // One that its client gives up on.
            let abandoned = ask(&host, "{ shared_hang }");
            let _ = tokio::time::timeout(Duration::from_millis(20), abandoned).await;
        }
        done
    };
    let (hang, done) = tokio::join!(hang, work);
    assert_eq!(hang["errors"][0]["extensions"]["code"], "unexpected");
    assert_eq!(done, 5);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_at_once_are_all_answered() {
    let host = TestHost::start().await;
    let body = "local sum = 0 for i = 1, 10000 do sum += i end return sum + args.n";
    let main = registering(&format!(
        r#"builder:queryField("sum", {{ type = "Int", auth = "public", args = {{ n = "Int!" }},
           resolve = function(_, args) {body} end }})"#
    ));
    add(&host, "crowd", r#""timeoutMs": 20000"#, &main).await;
    let host = &host;
    let calls = (0..200).map(|n| async move {
        let answer = ask(host, &format!("{{ crowd_sum(n: {n}) }}")).await;
        assert_eq!(answer["data"]["crowd_sum"], 50_005_000 + n);
    });
    futures_util::future::join_all(calls).await;
}

/// A preempted coroutine is not mistaken for one that yields, however deep it is in others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preemption_is_invisible_in_nested_coroutines() {
    let host = TestHost::start().await;
    let main = getting(
        r#"local function count(depth)
               return coroutine.wrap(function()
                   if depth == 0 then
                       for i = 1, 20 do
                           local from = os.clock() while os.clock() - from < 0.003 do end
                           coroutine.yield(i)
                       end
                   else
                       for i in count(depth - 1) do coroutine.yield(i) end
                   end
               end)
           end
           local sum = 0
           for i in count(10) do sum += i end
           -- A comparator is interrupted too, but cannot be suspended.
           local from = os.clock()
           table.sort({ 2, 1 }, function(a, b) while os.clock() - from < 0.01 do end return a < b end)
           local bare = coroutine.create(function() coroutine.yield() return 1 end)
           local ok, first = coroutine.resume(bare)
           return { sum, first == nil, coroutine.status(bare) }"#,
    );
    add(&host, "nested", r#""timeoutMs": 5000"#, &main).await;
    let answer = ask(&host, "{ nested_get }").await;
    assert_eq!(answer, json!({ "data": { "nested_get": [210, true, "suspended"] } }));
    host.stop().await;
}
