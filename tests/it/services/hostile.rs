//! Compose files that want more than a plugin may have: refused, and nothing is made.

use std::net::TcpListener;

use serde_json::json;

use super::engine::{engine, ship_summarizer, write_plugin};
use crate::support::{ADMIN, TestHost, write};

/// What is wanted, and a part of the refusal.
const HOSTILE: &[(&str, &str)] = &[
    ("volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]", "not inside the plugin's folder"),
    ("volumes: [\"../../:/host\"]", "not inside the plugin's folder"),
    ("volumes: [\"./x/../../y:/host\"]", "not inside the plugin's folder"),
    ("volumes: [\"/:/host\"]", "not inside the plugin's folder"),
    ("volumes: [{ type: bind, source: /etc, target: /etc2 }]", "not inside the plugin's folder"),
    ("volumes: [\"${SECRET_PLACE:-/etc}:/x\"]", "not inside the plugin's folder"),
    ("privileged: true", "services.bad.privileged: is not allowed"),
    ("network_mode: host", "services.bad.network_mode: is not allowed"),
    ("network_mode: \"container:other\"", "services.bad.network_mode: is not allowed"),
    ("pid: host", "services.bad.pid: is not allowed"),
    ("ipc: host", "services.bad.ipc: is not allowed"),
    ("uts: host", "services.bad.uts: is not allowed"),
    ("userns_mode: host", "services.bad.userns_mode: is not allowed"),
    ("cap_add: [SYS_ADMIN]", "services.bad.cap_add: is not allowed"),
    ("security_opt: [\"seccomp:unconfined\"]", "services.bad.security_opt: is not allowed"),
    ("devices: [\"/dev/kvm\"]", "services.bad.devices: is not allowed"),
    ("volumes_from: [other]", "services.bad.volumes_from: is not allowed"),
    ("cgroup_parent: /", "services.bad.cgroup_parent: is not allowed"),
    ("sysctls: { kernel.core_pattern: x }", "services.bad.sysctls: is not allowed"),
    ("tmpfs: /run", "services.bad.tmpfs: is not supported"),
    ("ports: [\"0.0.0.0:8080:80\"]", "published on the loopback only"),
    ("ports: [\"80:80\"]\n    privileged: yes", "services.bad.privileged: is not allowed"),
    ("labels: { com.docker.compose.project: other }", "the host sets this label itself"),
    ("mem_limit: 64g", "more than the 512 MiB"),
    ("deploy: { resources: { limits: { memory: 64g } } }", "more than the 512 MiB"),
    ("cpus: 512", "more than the 1 that"),
    ("env_file: /proc/self/environ", "not inside the plugin's folder"),
    ("env_file: ../../data/secret.key", "not inside the plugin's folder"),
    ("extends: { file: /etc/x.yml, service: y }", "services.bad.extends: is not allowed"),
    ("build: { context: ../.. }", "not inside the plugin's folder"),
    ("build: { context: \"https://example.com/x.git\" }", "a folder of the plugin"),
    ("build: { context: ., dockerfile: ../../Dockerfile }", "not inside the plugin's folder"),
    ("build: { context: ., network: host }", "services.bad.build.network: is not supported"),
    ("build: { context: ., privileged: true }", "services.bad.build.privileged: is not allowed"),
    ("build: { context: ., secrets: [x] }", "services.bad.build.secrets: is not allowed"),
    (
        "build: { context: ., additional_contexts: { x: / } }",
        "additional_contexts: is not supported",
    ),
];

#[tokio::test]
async fn what_a_plugin_may_not_have_is_refused_and_nothing_is_made() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let manager = host.host.manager();
    let data = host.dir.path().join("data");
    for (bad, part) in HOSTILE {
        let compose = format!(
            "services:\n  good: {{ image: \"{{busybox}}\", command: [sleep, \"60\"] }}\n  bad:\n    {}{bad}\n",
            if bad.starts_with("build") { "" } else { "image: \"{busybox}\"\n    " }
        );
        write_plugin(&host.plugins, "hostile", &compose, &[("Dockerfile", "FROM {busybox}\n")]);
        let error = manager.install("hostile", true).await.unwrap_err();
        assert!(error.message.contains(part), "{bad}: {}", error.message);
        assert!(error.message.contains("docker-compose.yml:"), "{bad}: {}", error.message);
    }
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn links_and_floods_do_not_get_into_a_build() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let manager = host.host.manager();
    let data = host.dir.path().join("data");
    let compose = "services:\n  bad:\n    build: ./svc\n";
    let folder = host.plugins.join("linked");
    write_plugin(&host.plugins, "linked", compose, &[]);
    // The context itself is elsewhere.
    let outside = host.dir.path().join("outside");
    write(&outside.join("Dockerfile"), "FROM scratch\n");
    std::os::unix::fs::symlink(&outside, folder.join("svc")).unwrap();
    let error = manager.install("linked", true).await.unwrap_err();
    assert!(error.message.contains("points out of the plugin's folder"), "{error}");
    // A file in it is.
    std::fs::remove_file(folder.join("svc")).unwrap();
    write(&folder.join("svc/Dockerfile"), "FROM scratch\nCOPY secret /\n");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("svc/secret")).unwrap();
    let error = manager.install("linked", true).await.unwrap_err();
    assert!(error.message.contains("points out of the plugin's folder"), "{error}");
    // There is too much in it.
    std::fs::remove_file(folder.join("svc/secret")).unwrap();
    let big = std::fs::File::create(folder.join("svc/big")).unwrap();
    big.set_len(200 << 20).unwrap();
    let error = manager.install("linked", true).await.unwrap_err();
    assert!(error.message.contains("bytes"), "{error}");
    std::fs::remove_file(folder.join("svc/big")).unwrap();
    for n in 0..3_000 {
        write(&folder.join(format!("svc/many/{n}")), "x");
    }
    let error = manager.install("linked", true).await.unwrap_err();
    assert!(error.message.contains("more than 2000 files"), "{error}");
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

/// Between the reading of the folder and the start of the container something was put in its place.
#[tokio::test]
async fn a_bind_that_has_become_a_link_is_refused() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let manager = host.host.manager();
    let compose = "services:\n  bad:\n    image: {busybox}\n    command: [sleep, \"60\"]\n    \
                   volumes: [\"./inner/conf:/conf:ro\"]\n";
    write_plugin(&host.plugins, "swapped", compose, &[("inner/conf/a", "x")]);
    manager.install("swapped", true).await.unwrap();
    // Inside the folder, so that reading it finds nothing wrong, but not what it was when it was read.
    let folder = host.plugins.join("swapped");
    std::fs::rename(folder.join("inner"), host.dir.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(host.dir.path().join("moved"), folder.join("inner")).unwrap();
    let error = manager.activate("swapped").await.unwrap_err();
    assert!(error.message.contains("out of the plugin's folder"), "{error}");
    assert_eq!(engine.left(&host.dir.path().join("data")).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_undoes_the_activation() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let compose = format!(
        "services:\n  first: {{ image: \"{{busybox}}\", command: [sleep, \"60\"], stop_grace_period: 0s, volumes: [\"v:/v\"] }}\n  \
         second: {{ image: \"{{busybox}}\", command: [sleep, \"60\"], stop_grace_period: 0s, ports: [\"{port}:80\"], depends_on: [first] }}\nvolumes: {{ v: }}\n"
    );
    write_plugin(&host.plugins, "ported", &compose, &[]);
    let manager = host.host.manager();
    manager.install("ported", true).await.unwrap();
    let error = manager.activate("ported").await.unwrap_err();
    assert!(error.message.contains("starting the service \"second\""), "{error}");
    assert!(error.message.contains("address already in use"), "{error}");
    assert_eq!(engine.left(&host.dir.path().join("data")).await, Vec::<String>::new());
    let query = "{ getPlugins { status isActivated errors { phase message } } }";
    let plugin = host.data(ADMIN, query, json!({})).await["getPlugins"][0].clone();
    assert_eq!((&plugin["status"], &plugin["isActivated"]), (&json!("ERROR"), &json!(false)));
    drop(taken);
    manager.activate("ported").await.unwrap();
    manager.uninstall("ported", false).await.unwrap();
    host.stop().await;
}

#[tokio::test]
async fn a_container_that_does_not_start_says_why() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let manager = host.host.manager();
    for (id, service, parts) in [
        (
            "ends",
            "command: [sh, -c, \"echo cannot find the database; exit 3\"], restart: \"no\"",
            vec!["ended with code 3", "cannot find the database"],
        ),
        (
            "loops",
            "command: [sh, -c, \"echo again; exit 4\"]",
            vec!["started 5 times", "code 4", "again"],
        ),
        (
            "sick",
            "command: [sh, -c, \"echo unwell; sleep 60\"], healthcheck: { test: \"false\", interval: 200ms, retries: 1 }, stop_grace_period: 0s",
            vec!["unhealthy", "unwell"],
        ),
        (
            "eats",
            "command: [sh, -c, \"x=x; while true; do x=$$x$$x; done\"], mem_limit: 16m, restart: \"no\"",
            vec!["for lack of memory"],
        ),
        (
            "nothing",
            "command: [/no/such/program]",
            vec!["starting the service \"s\"", "no such file"],
        ),
        (
            "unknown",
            "image: \"moondock-test/none:latest\"",
            vec!["pulling the image moondock-test/none:latest"],
        ),
    ] {
        let image = if service.contains("image:") { "" } else { "image: \"{busybox}\", " };
        write_plugin(&host.plugins, id, &format!("services:\n  s: {{ {image}{service} }}\n"), &[]);
        manager.install(id, true).await.unwrap();
        let error = manager.activate(id).await.unwrap_err();
        for part in parts {
            assert!(error.message.contains(part), "{id}: {part}: {}", error.message);
        }
        assert_eq!(
            error.code,
            if id == "unknown" { error.code.clone() } else { "docker.failed".to_owned() }
        );
    }
    let failing = "services:\n  s:\n    build: .\n";
    let dockerfile = "FROM {busybox} AS a\nRUN echo once > /a\nFROM {busybox}\nCOPY --from=a /a /a\n\
                      RUN echo missing library >&2; exit 9\n";
    write_plugin(&host.plugins, "unbuildable", failing, &[("Dockerfile", dockerfile)]);
    let error = manager.install("unbuildable", true).await.unwrap_err();
    assert!(error.message.contains("building the image of the service \"s\""), "{error}");
    assert!(error.message.contains("missing library"), "{error}");
    assert_eq!(engine.left(&host.dir.path().join("data")).await, Vec::<String>::new());
    let query = "{ getPlugins(input: { pluginId: \"unbuildable\" }) { isInstalled } }";
    assert_eq!(host.data(ADMIN, query, json!({})).await["getPlugins"], json!([]));
    host.stop().await;
}

#[tokio::test]
async fn containers_need_a_grant() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    ship_summarizer(&host.plugins);
    let manager = host.host.manager();
    let data = host.dir.path().join("data");
    manager.install("summarizer", false).await.unwrap();
    assert_eq!(
        engine.left(&data).await,
        Vec::<String>::new(),
        "nothing is built without the grant"
    );
    let error = manager.activate("summarizer").await.unwrap_err();
    assert!(error.message.contains("docker"), "{error}");
    assert!(error.message.contains("moondock plugin grant summarizer"), "{error}");
    let some = json!({ "env": ["SUMMARIZER_BASE"] });
    manager.grant("summarizer", some).await.unwrap();
    let error = manager.activate("summarizer").await.unwrap_err();
    assert!(error.message.contains("not granted: docker"), "{error}");
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    // Nothing that could be let pass and noted.
    let id =
        host.data(ADMIN, "{ getPlugins { id } }", json!({})).await["getPlugins"][0]["id"].clone();
    let monitor =
        "mutation($id: String!) { updatePlugin(input: { id: $id, monitor: true }) { monitor } }";
    host.data(ADMIN, monitor, json!({ "id": id })).await;
    let error = manager.activate("summarizer").await.unwrap_err();
    assert!(error.message.contains("moondock plugin grant summarizer --docker"), "{error}");
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    let all = json!({ "docker": true, "env": ["SUMMARIZER_BASE"] });
    manager.grant("summarizer", all).await.unwrap();
    manager.activate("summarizer").await.unwrap();
    // Taken back, it has an end with the next version.
    manager.grant("summarizer", json!({})).await.unwrap_err();
    manager.uninstall("summarizer", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}
