//! What becomes of values between GraphQL and Lua, in both directions.

use serde_json::{Value, json};

use crate::support::{REGISTER, TestHost, manifest, registering};

/// A host with a plugin `v` that has these public query fields: name, arguments and body.
async fn host(fields: &[(&str, &str, &str, &str)]) -> TestHost {
    let host = TestHost::start().await;
    let mut body = "builder:inputType('In', { fields = { a = 'Int', b = 'String', list = '[Int]', \
         inner = 'In', d = { type = 'Int', default = 5 } } })
         builder:objectType('Out', { fields = { name = 'String', list = '[Int!]', inner = 'Out', n = 'Int!' } })\n"
        .to_owned();
    for (name, args, ty, resolve) in fields {
        body += &format!(
            "builder:queryField('{name}', {{ type = '{ty}', auth = 'public', args = {{ {args} }},
             resolve = function(_, args, ctx) {resolve} end }})\n"
        );
    }
    let main = registering(&body);
    host.plugin("v", &[("manifest.json", &manifest("v", REGISTER)), ("init.lua", &main)]).await;
    host
}

async fn ask(host: &TestHost, query: &str, variables: Value) -> Value {
    host.graphql(None, query, variables).await
}

async fn value(host: &TestHost, query: &str, variables: Value) -> Value {
    let mut answer = ask(host, query, variables).await;
    assert!(answer.get("errors").is_none(), "{query}: {answer}");
    let data = answer["data"].as_object_mut().unwrap();
    data.values_mut().next().unwrap().take()
}

/// Says of each argument whether it is absent, null or what it is.
const TELL: &str = "
    local function tell(value)
        if value == nil then return 'absent' elseif value == ctx.null then return 'null' end
        return type(value) .. ' ' .. tostring(value)
    end ";

#[tokio::test]
async fn omitted_and_null_arguments_are_two_things() {
    let tell = format!("{TELL} return tell(args.x)");
    let inner = format!(
        "{TELL} local i = args.i return tell(i.a) .. ', ' .. tell(i.b) .. ', ' .. tell(i.d)"
    );
    let list =
        format!("{TELL} local l = args.l return #l .. ': ' .. tell(l[1]) .. ', ' .. tell(l[2])");
    let host = host(&[
        ("tell", "x = 'Int'", "String", &tell),
        ("tellDefault", "x = { type = 'Int', default = 7 }", "String", &tell),
        ("inner", "i = 'In!'", "String", &inner),
        ("list", "l = '[Int]!'", "String", &list),
        ("giveNull", "", "JSON", "return { a = ctx.null, b = { ctx.null, 1, ctx.null } }"),
        ("giveNil", "", "JSON", "return { a = nil }"),
        ("topNull", "", "Int", "return ctx.null"),
        ("topNil", "", "Int", "return nil"),
        ("nothing", "", "Int", "return"),
    ])
    .await;
    for (query, variables, expected) in [
        ("{ v_tell }", json!({}), "absent"),
        ("{ v_tell(x: null) }", json!({}), "null"),
        ("{ v_tell(x: 3) }", json!({}), "number 3"),
        ("query($x: Int) { v_tell(x: $x) }", json!({}), "absent"),
        ("query($x: Int) { v_tell(x: $x) }", json!({ "x": null }), "null"),
        ("query($x: Int = 4) { v_tell(x: $x) }", json!({}), "number 4"),
        ("query($x: Int = 4) { v_tell(x: $x) }", json!({ "x": null }), "null"),
        ("{ v_tellDefault }", json!({}), "number 7"),
        ("{ v_tellDefault(x: null) }", json!({}), "null"),
        ("query($x: Int) { v_tellDefault(x: $x) }", json!({}), "number 7"),
        ("{ v_inner(i: {}) }", json!({}), "absent, absent, number 5"),
        ("{ v_inner(i: { a: null, d: null }) }", json!({}), "null, absent, null"),
        (
            "query($i: In!) { v_inner(i: $i) }",
            json!({ "i": { "b": null } }),
            "absent, null, number 5",
        ),
        ("query($a: Int) { v_inner(i: { a: $a }) }", json!({}), "absent, absent, number 5"),
        ("{ v_list(l: [null, 2]) }", json!({}), "2: null, number 2"),
    ] {
        assert_eq!(value(&host, query, variables).await, expected, "{query}");
    }
    let expected = json!({ "a": null, "b": [null, 1, null] });
    assert_eq!(value(&host, "{ v_giveNull }", json!({})).await, expected);
    assert_eq!(value(&host, "{ v_giveNil }", json!({})).await, json!({}));
    for query in ["{ v_topNull }", "{ v_topNil }", "{ v_nothing }"] {
        assert_eq!(value(&host, query, json!({})).await, Value::Null, "{query}");
    }
    host.stop().await;
}

#[tokio::test]
async fn numbers_are_exact_or_refused() {
    let echo = "return args.x";
    let told = "return type(args.x) .. ' ' .. tostring(args.x)";
    let host = host(&[
        ("int", "x = 'Int'", "Int", echo),
        ("float", "x = 'Float'", "Float", echo),
        ("big", "x = 'BigInt'", "BigInt", echo),
        ("bigTold", "x = 'BigInt'", "String", told),
        ("json", "x = 'JSON'", "JSON", echo),
        ("jsonTold", "x = 'JSON'", "String", told),
        ("tooLarge", "", "Int", "return 2^31"),
        ("largest", "", "Int", "return 2^31 - 1"),
        ("fraction", "", "Int", "return 1.5"),
        ("whole", "", "Float", "return 3"),
        ("nan", "", "Float", "return 0/0"),
        ("infinite", "", "Float", "return -math.huge"),
        ("jsonNan", "", "JSON", "return { 0/0 }"),
        ("bigFloat", "", "BigInt", "return 2^53 + 2"),
        ("bigNan", "", "BigInt", "return 0/0"),
        ("negativeZero", "", "Float", "return -0"),
        ("digits", "", "Int", "return '12'"),
    ])
    .await;
    let max = 9_007_199_254_740_992_i64;
    for (query, variables, expected) in [
        ("query($x: BigInt) { v_big(x: $x) }", json!({ "x": max - 1 }), json!("9007199254740991")),
        ("query($x: BigInt) { v_big(x: $x) }", json!({ "x": max + 1 }), json!("9007199254740993")),
        ("{ v_big(x: 9007199254740993) }", json!({}), json!("9007199254740993")),
        (r#"{ v_big(x: "9007199254740993") }"#, json!({}), json!("9007199254740993")),
        (
            r#"{ v_big(x: "-123456789012345678901234567890") }"#,
            json!({}),
            json!("-123456789012345678901234567890"),
        ),
        (r#"{ v_bigTold(x: "12") }"#, json!({}), json!("number 12")),
        ("{ v_bigTold(x: 9007199254740993) }", json!({}), json!("string 9007199254740993")),
        ("{ v_jsonTold(x: 9007199254740993) }", json!({}), json!("string 9007199254740993")),
        ("query($x: JSON) { v_json(x: $x) }", json!({ "x": max }), json!(max)),
        ("query($x: JSON) { v_json(x: $x) }", json!({ "x": 0.5 }), json!(0.5)),
        ("{ v_int(x: -2147483648) }", json!({}), json!(-2_147_483_648_i64)),
        ("{ v_float(x: 1e308) }", json!({}), json!(1e308)),
        ("{ v_float(x: 3) }", json!({}), json!(3)),
        ("{ v_largest }", json!({}), json!(2_147_483_647)),
        ("{ v_whole }", json!({}), json!(3)),
        ("{ v_negativeZero }", json!({}), json!(0)),
    ] {
        assert_eq!(value(&host, query, variables).await, expected, "{query}");
    }
    for field in
        ["tooLarge", "fraction", "nan", "infinite", "jsonNan", "bigFloat", "bigNan", "digits"]
    {
        let answer = ask(&host, &format!("{{ v_{field} }}"), json!({})).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "unexpected", "{field}: {answer}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("v_{field}")), "{field}: {message}");
        assert_eq!(answer["data"], json!({ format!("v_{field}"): null }), "{field}");
    }
    for query in ["{ v_int(x: 2147483648) }", "{ v_int(x: 1.5) }", r#"{ v_big(x: "1e3") }"#] {
        let answer = ask(&host, query, json!({})).await;
        assert!(answer["errors"].is_array(), "{query}: {answer}");
    }
    host.stop().await;
}

#[tokio::test]
async fn texts_are_utf8_or_an_error_that_names_the_field() {
    let host = host(&[
        ("bytes", "", "String", "return '\\xff\\xfe'"),
        ("id", "", "ID", "return '\\xff'"),
        ("inner", "", "Out", "return { name = 'a\\xff' , n = 1 }"),
        ("json", "", "JSON", "return { deep = { '\\xff' } }"),
        ("key", "", "JSON", "return { ['\\xff'] = 1 }"),
        ("buffer", "", "String", "return buffer.fromstring('x')"),
        ("zero", "", "String", "return 'a\\0b'"),
        ("wide", "", "String", "return '\\u{1F600}' .. string.reverse('ab')"),
        ("echo", "x = 'String'", "String", "return args.x"),
    ])
    .await;
    for (query, named) in [
        ("{ v_bytes }", "v_bytes"),
        ("{ v_id }", "v_id"),
        ("{ v_inner { name n } }", "Out.name"),
        ("{ v_json }", "v_json"),
        ("{ v_buffer }", "v_buffer"),
    ] {
        let answer = ask(&host, query, json!({})).await;
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(named), "{query}: {message}");
        assert!(!message.contains('\u{fffd}'), "{query}: {message}");
    }
    assert!(ask(&host, "{ v_key }", json!({})).await["errors"].is_array());
    assert_eq!(value(&host, "{ v_zero }", json!({})).await, "a\0b");
    assert_eq!(value(&host, "{ v_wide }", json!({})).await, "\u{1F600}ba");
    let odd = "\u{feff}\u{202e}\u{0}\u{10ffff}\"\\\n'";
    let variables = json!({ "x": odd });
    assert_eq!(value(&host, "query($x: String) { v_echo(x: $x) }", variables).await, odd);
    host.stop().await;
}

#[tokio::test]
async fn tables_fit_their_type_or_are_refused() {
    let host = host(&[
        ("emptyList", "", "[Int]", "return {}"),
        ("emptyObject", "", "Out", "return {}"),
        ("emptyJson", "", "JSON", "return {}"),
        ("nested", "", "Out", "return { n = 1, list = {}, inner = { n = 2 } }"),
        ("scattered", "", "[Int]", "local t = {} t[3] = 3 t[1] = 1 t[2] = 2 return t"),
        ("null", "", "[Int]", "return { 1, ctx.null, 3 }"),
        ("extra", "", "Out", "return { n = 1, [1] = nil, other = 'unseen' }"),
        (
            "proxied",
            "",
            "JSON",
            "return setmetatable({ a = 1 }, { __index = { b = 2 }, __iter = error })",
        ),
        ("shared", "", "JSON", "local t = { 1 } return { t, t }"),
        ("hundred", "", "JSON", "local t = {} for i = 1, 99 do t = { t } end return t"),
        ("hole", "", "JSON", "return { 1, nil, 3 }"),
        ("sparse", "", "[Int]", "return { [1] = 1, [1000000000] = 2 }"),
        ("mixed", "", "JSON", "return { 1, a = 2 }"),
        ("zeroth", "", "JSON", "return { [0] = 1 }"),
        ("negative", "", "JSON", "return { [-1] = 1 }"),
        ("booleans", "", "JSON", "return { [true] = 1 }"),
        ("tableKey", "", "JSON", "return { [{}] = 1 }"),
        ("functions", "", "JSON", "return { f = print }"),
        ("threads", "", "JSON", "return { coroutine.create(print) }"),
        ("userdata", "", "JSON", "return { c = ctx }"),
        ("itself", "", "JSON", "return ctx"),
        ("errors", "", "JSON", "local _, e = pcall(ctx.fail, ctx, 'x') return e"),
        ("cyclic", "", "JSON", "local t = {} t.t = t return t"),
        ("deep", "", "JSON", "local t = {} for i = 1, 101 do t = { t } end return t"),
        ("listForObject", "", "Out", "return { 1 }"),
        ("objectForList", "", "[Int]", "return { a = 1 }"),
        ("numberForList", "", "[Int]", "return 1"),
        ("textForObject", "", "Out", "return 'x'"),
    ])
    .await;
    for (query, expected) in [
        ("{ v_emptyList }", json!([])),
        ("{ v_emptyObject { name } }", json!({ "name": null })),
        ("{ v_emptyJson }", json!({})),
        (
            "{ v_nested { n list inner { n list } } }",
            json!({ "n": 1, "list": [], "inner": { "n": 2, "list": null } }),
        ),
        ("{ v_scattered }", json!([1, 2, 3])),
        ("{ v_null }", json!([1, null, 3])),
        ("{ v_extra { n } }", json!({ "n": 1 })),
        ("{ v_proxied }", json!({ "a": 1 })),
        ("{ v_shared }", json!([[1], [1]])),
    ] {
        assert_eq!(value(&host, query, json!({})).await, expected, "{query}");
    }
    assert!(value(&host, "{ v_hundred }", json!({})).await.is_array());
    for field in [
        "hole",
        "sparse",
        "mixed",
        "zeroth",
        "negative",
        "booleans",
        "tableKey",
        "functions",
        "threads",
        "userdata",
        "itself",
        "errors",
        "cyclic",
        "deep",
        "listForObject { n }",
        "objectForList",
        "numberForList",
        "textForObject { n }",
    ] {
        let answer = ask(&host, &format!("{{ v_{field} }}"), json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "unexpected", "{field}: {answer}");
    }
    // The response ends where a non-null field is missing, at the nearest field that may be null.
    let answer = ask(&host, "{ v_emptyObject { name n } }", json!({})).await;
    assert_eq!(answer["data"], json!({ "v_emptyObject": null }));
    assert_eq!(answer["errors"][0]["path"], json!(["v_emptyObject", "n"]));
    host.stop().await;
}

/// Input as deep as a body may be is refused or passed on, and no stack overflows.
#[tokio::test]
async fn deep_input_is_no_danger() {
    let host = host(&[
        ("json", "x = 'JSON'", "JSON", "return args.x ~= nil"),
        ("inner", "x = 'In'", "JSON", "return args.x ~= nil"),
    ])
    .await;
    let deep = |open: &str, close: &str, n: usize| open.repeat(n) + "1" + &close.repeat(n);
    for n in [50, 120, 5_000, 100_000] {
        for query in [
            format!("{{ v_json(x: {}) }}", deep("[", "]", n)),
            format!("{{ v_json(x: {}) }}", deep("{ a: ", " }", n)),
            format!("{{ v_inner(x: {}) }}", deep("{ inner: ", " }", n)),
        ] {
            let answer = ask(&host, &query, json!({})).await;
            assert!(answer.get("data").is_some() || answer["errors"].is_array(), "{n}: {answer}");
        }
        let body = format!(
            r#"{{ "query": "query($x: JSON) {{ v_json(x: $x) }}", "variables": {{ "x": {} }} }}"#,
            deep("[", "]", n)
        );
        let request = host.client.post(format!("{}/graphql", host.url));
        let answer = request.header("content-type", "application/json").body(body).send().await;
        assert!(answer.unwrap().status().as_u16() < 500);
    }
    assert_eq!(value(&host, "{ v_json(x: 1) }", json!({})).await, true);
    host.stop().await;
}
