use std::time::Duration;

use super::*;
use crate::lua::bridge;
use crate::value::Value;

fn vm(memory_mb: usize) -> Arc<Vm> {
    Arc::new(Vm::new(VmOptions { memory: memory_mb << 20 }, Arc::default(), |_| ()).unwrap())
}

async fn eval(vm: &Vm, millis: u64, source: &str) -> Result<Value, ScriptError> {
    let deadline = Instant::now() + Duration::from_millis(millis);
    vm.run(deadline, async {
        let lua = vm.lua();
        let sleep = lua.create_async_function(|_, millis: u64| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(millis)
        })?;
        lua.globals().set("sleep", sleep)?;
        let value = lua.load(source).set_name("=test.lua").into_function()?.call_async(()).await?;
        bridge::from_lua(&value).map_err(mlua::Error::external)
    })
    .await
}

#[tokio::test]
async fn waiting_looks_like_an_ordinary_call_everywhere_it_can() {
    let vm = vm(16);
    for (source, expected) in [
        ("return sleep(1)", Value::Int(1)),
        ("return select(2, pcall(sleep, 1))", Value::Int(1)),
        ("local f = coroutine.wrap(function() return sleep(1) end) return f()", Value::Int(1)),
        (
            "local co = coroutine.create(function(a) local b = coroutine.yield(a + sleep(1)) sleep(1) return b * 2 end)
             local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 10) return x + y",
            Value::Int(22),
        ),
        ("local n = 0 for v in coroutine.wrap(function() for i = 1, 3 do sleep(1) coroutine.yield(i) end end) do n = n + v end return n", Value::Int(6)),
    ] {
        assert_eq!(eval(&vm, 1000, source).await.unwrap(), expected, "{source}");
    }
}

#[tokio::test]
async fn preemption_is_invisible_to_the_scripts_own_coroutines() {
    let vm = vm(16);
    let source = "
        local co = coroutine.wrap(function()
            for i = 1, 5 do
                local t = os.clock() while os.clock() - t < 0.01 do end
                coroutine.yield(i)
            end
        end)
        local got = {}
        for i = 1, 5 do got[i] = co() end
        return got";
    let expected = Value::List((1..=5).map(Value::Int).collect());
    assert_eq!(eval(&vm, 1000, source).await.unwrap(), expected);
}

/// On one thread: a call that computes for 200 ms leaves room for a timer that fires every 5 ms.
#[tokio::test(flavor = "current_thread")]
async fn a_busy_call_does_not_stall_the_thread() {
    let vm = vm(16);
    let busy = Arc::clone(&vm);
    let call = tokio::spawn(async move {
        eval(&busy, 1000, "local t = os.clock() while os.clock() - t < 0.2 do end return 7").await
    });
    let mut ticks = 0;
    while !call.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        ticks += 1;
    }
    assert_eq!(call.await.unwrap().unwrap(), Value::Int(7));
    assert!(ticks >= 15, "only {ticks} ticks in 200 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_one_vm_overlap_while_they_wait() {
    let vm = vm(16);
    let start = Instant::now();
    let calls = (0..20).map(|_| {
        let vm = Arc::clone(&vm);
        tokio::spawn(async move { eval(&vm, 2000, "return sleep(50)").await.unwrap() })
    });
    futures_util::future::join_all(calls).await;
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_passed_deadline_discards_the_vm_even_if_the_script_caught_it() {
    for source in
        ["while true do end", "pcall(function() while true do end end) return 1", "sleep(10000)"]
    {
        let vm = vm(16);
        let start = Instant::now();
        let error = eval(&vm, 50, source).await.unwrap_err();
        assert!(matches!(error.kind, ScriptErrorKind::Deadline), "{source}: {error}");
        assert!(vm.is_discarded());
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_abandoned_call_leaves_the_vm_usable() {
    let vm = vm(16);
    for _ in 0..20 {
        let call = eval(&vm, 5000, "pcall(sleep, 5000) while true do end");
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
    }
    assert_eq!(eval(&vm, 100, "return 1").await.unwrap(), Value::Int(1));
    assert!(!vm.is_discarded());
}

#[tokio::test]
async fn memory_is_capped_and_a_bomb_discards_the_vm() {
    let vm = vm(16);
    let error =
        eval(&vm, 2000, "local t = {} while true do t[#t + 1] = string.rep('x', 1e5) .. #t end")
            .await
            .unwrap_err();
    assert!(matches!(error.kind, ScriptErrorKind::Memory), "{error:?}");
    assert!(vm.is_discarded());
}

#[tokio::test]
async fn errors_say_where_they_happened() {
    let vm = vm(16);
    let error = eval(&vm, 100, "local x = nil\nreturn x.y").await.unwrap_err();
    assert_eq!((error.file.as_deref(), error.line), (Some("test.lua"), Some(2)), "{error:?}");
    let error = eval(&vm, 100, "return sleep('x')").await.unwrap_err();
    assert_eq!((error.file.as_deref(), error.line), (Some("test.lua"), Some(1)), "{error:?}");
}

#[tokio::test]
async fn host_errors_have_fields() {
    let vm = vm(16);
    let source = "local ok, e = pcall(sleep, 'x') return { ok = ok, code = e.code, text = tostring(e), message = e.message }";
    let value = eval(&vm, 100, source).await.unwrap();
    assert_eq!(value.get("code"), Some(&"unexpected".into()), "{value:?}");
    assert_eq!(value.get("ok"), Some(&false.into()));
}

/// The tests of the standard library are in Luau, beside it.
#[tokio::test]
async fn the_standard_library_passes_its_own_tests() {
    const TESTS: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua-stdlib/tests/modules.luau"));
    let modules = Arc::new(Modules::compile([("tests.luau", TESTS)]));
    let vm = Vm::new(VmOptions { memory: 64 << 20 }, modules, |_| ()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let ran = vm.run(deadline, async {
        let tests: mlua::Table = vm.import().call_async("tests.luau").await?;
        let mut ran = Vec::new();
        for pair in tests.pairs::<String, mlua::Function>() {
            let (name, test) = pair?;
            let result = test.call_async::<()>(()).await;
            ran.push((name, result.err().map(|error| error.to_string())));
        }
        Ok(ran)
    });
    let ran = ran.await.unwrap();
    let failed: Vec<_> = ran.iter().filter(|(_, problem)| problem.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(ran.len(), TESTS.matches("\nfunction M.").count());
}
