//! A Compose file means what it says: the engine is asked about each key.

use serde_json::{Value, json};

use super::engine::{BUSYBOX, engine, write_plugin};
use crate::support::{ADA, TestHost, write};

const ALL: &str = r#"
services:
  api:
    build:
      context: ./svc
      dockerfile: Dockerfile.api
      args: { WHAT: "made with ${FLAVOR:-plain}", OTHER: }
      target: final
    command: sh -c "cat /made /etc/app/app.conf; env; id -u; pwd; exec httpd -f -p 8080"
    environment: { NUMBER: 5, FLAVOR: , OVER: mine }
    env_file: [./svc/more.env]
    ports: ["8080", "127.0.0.1::9090/udp"]
    expose: ["7070"]
    volumes:
      - data:/data
      - ./conf:/etc/app:ro
      - { type: volume, source: data, target: /again, read_only: true }
      - /scratch
    networks: { front: { aliases: [web] }, back: }
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    restart: always
    user: "1000:1000"
    working_dir: /srv
    labels: { tier: front }
    stop_grace_period: 7s
    deploy: { resources: { limits: { cpus: "0.5", memory: 64M, pids: 20 }, reservations: { memory: 32m } } }
  db:
    image: {busybox}
    entrypoint: ["/bin/sh", "-c"]
    command: ["trap 'exit 0' TERM; touch /tmp/up; while true; do sleep 0.1; done"]
    healthcheck:
      test: ["CMD", "test", "-e", "/tmp/up"]
      interval: 500ms
      timeout: 3s
      retries: 4
      start_period: 10s
    networks: [back]
    restart: on-failure:3
    mem_limit: 32m
    mem_reservation: 16m
    cpus: 0.25
    pids_limit: 30
  migrate:
    image: {busybox}
    command: ["true"]
    restart: "no"
    healthcheck: { disable: true }
    networks: [back]
  debug:
    image: {busybox}
    profiles: [debug]
networks:
  front: { labels: { which: front } }
  back: { internal: true }
volumes:
  data: { labels: { keep: "yes" } }
"#;

const FILES: [(&str, &str); 5] = [
    (
        "svc/Dockerfile.api",
        "FROM {busybox} AS first\nARG WHAT\nRUN echo \"$WHAT\" > /made\nFROM {busybox} AS final\n\
         COPY --from=first /made /made\nRUN chmod a+r /made\nFROM {busybox} AS never\nRUN false\n",
    ),
    ("svc/more.env", "# said\nFROM_FILE=\"a b\"\nOVER=theirs\nINTERPOLATED=${FLAVOR:-plain}\n"),
    ("svc/.dockerignore", "secret\n"),
    ("svc/secret", "x"),
    ("conf/app.conf", "configured\n"),
];

#[tokio::test]
async fn every_key_behaves_as_written() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    write_plugin(&host.plugins, "every", ALL, &FILES);
    let manager = host.host.manager();
    manager.install("every", true).await.unwrap();
    manager.activate("every").await.unwrap();
    let data = host.dir.path().join("data");
    let project = engine.container(&data, "every", "x").replace("-x-1", "");

    let api = engine.inspect(&engine.container(&data, "every", "api")).await;
    let (config, hosted) = (&api["Config"], &api["HostConfig"]);
    assert_eq!(hosted["RestartPolicy"]["Name"], "always");
    assert_eq!(hosted["Memory"], 64 << 20);
    assert_eq!(hosted["MemorySwap"], 64 << 20);
    assert_eq!(hosted["MemoryReservation"], 32 << 20);
    assert_eq!(hosted["NanoCpus"], 500_000_000);
    assert_eq!(hosted["PidsLimit"], 20);
    assert_eq!(hosted["Privileged"], false);
    assert_eq!(hosted["SecurityOpt"], json!(["no-new-privileges:true"]));
    assert_eq!(config["User"], "1000:1000");
    assert_eq!(config["WorkingDir"], "/srv");
    assert_eq!(config["StopTimeout"], 7);
    assert_eq!(config["Labels"]["tier"], "front");
    assert_eq!(config["Labels"]["com.docker.compose.project"], project);
    assert_eq!(config["Labels"]["com.docker.compose.service"], "api");
    assert_eq!(config["Labels"]["com.docker.compose.oneoff"], "False");
    let mut exposed: Vec<&str> =
        config["ExposedPorts"].as_object().unwrap().keys().map(String::as_str).collect();
    exposed.sort_unstable();
    assert_eq!(exposed, ["7070/tcp", "8080/tcp", "9090/udp"]);
    for binding in ["8080/tcp", "9090/udp"] {
        let bound = &api["NetworkSettings"]["Ports"][binding][0];
        assert_eq!(bound["HostIp"], "127.0.0.1", "{binding}: {bound}");
        assert!(bound["HostPort"].as_str().unwrap().parse::<u16>().unwrap() > 0);
    }
    let mut mounts: Vec<String> = api["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{} {} {} {}", m["Type"], m["Destination"], m["RW"], m["Name"]))
        .collect();
    mounts.sort();
    assert_eq!(mounts.len(), 4, "{mounts:?}");
    assert!(mounts[0].starts_with("\"bind\" \"/etc/app\" false"), "{mounts:?}");
    assert_eq!(mounts[1], format!("\"volume\" \"/again\" false \"{project}_data\""));
    assert_eq!(mounts[2], format!("\"volume\" \"/data\" true \"{project}_data\""));
    assert!(mounts[3].starts_with("\"volume\" \"/scratch\" true"), "{mounts:?}");
    let networks = api["NetworkSettings"]["Networks"].as_object().unwrap();
    let mut names: Vec<&String> = networks.keys().collect();
    names.sort();
    assert_eq!(names, [&format!("{project}_back"), &format!("{project}_front")]);
    let aliases = networks[&format!("{project}_front")]["Aliases"].to_string();
    assert!(aliases.contains("\"api\"") && aliases.contains("\"web\""), "{aliases}");

    let written = engine.logs(&engine.container(&data, "every", "api")).await;
    for line in [
        "made with plain",
        "configured",
        "NUMBER=5",
        "FROM_FILE=a b",
        "OVER=mine",
        "INTERPOLATED=plain",
        "1000",
        "/srv",
    ] {
        assert!(written.lines().any(|l| l == line), "{line:?} is missing in {written}");
    }
    assert!(!written.contains("FLAVOR="), "{written}");

    let db = engine.inspect(&engine.container(&data, "every", "db")).await;
    assert_eq!(
        db["HostConfig"]["RestartPolicy"],
        json!({ "Name": "on-failure", "MaximumRetryCount": 3 })
    );
    assert_eq!(db["HostConfig"]["Memory"], 32 << 20);
    assert_eq!(db["HostConfig"]["PidsLimit"], 30);
    assert_eq!(db["Config"]["Entrypoint"], json!(["/bin/sh", "-c"]));
    let check = &db["Config"]["Healthcheck"];
    assert_eq!(check["Test"], json!(["CMD", "test", "-e", "/tmp/up"]));
    assert_eq!(
        (&check["Interval"], &check["Timeout"]),
        (&json!(500_000_000), &json!(3_000_000_000_u64))
    );
    assert_eq!((&check["Retries"], &check["StartPeriod"]), (&json!(4), &json!(10_000_000_000_u64)));
    let migrate = engine.inspect(&engine.container(&data, "every", "migrate")).await;
    assert_eq!(migrate["State"]["ExitCode"], 0);
    assert_eq!(migrate["Config"]["Healthcheck"]["Test"], json!(["NONE"]));
    // What asks for no limits has those of the host.
    assert_eq!(migrate["HostConfig"]["Memory"], 512 << 20);
    assert_eq!(migrate["HostConfig"]["NanoCpus"], 1_000_000_000);
    assert_eq!(migrate["HostConfig"]["PidsLimit"], 256);
    let network = engine.network(&format!("{project}_back")).await;
    assert_eq!((&network["Internal"], &network["Driver"]), (&json!(true), &json!("bridge")));
    assert_eq!(network["Labels"]["com.docker.compose.network"], "back");
    let network = engine.network(&format!("{project}_front")).await;
    assert_eq!(
        (&network["Internal"], &network["Labels"]["which"]),
        (&json!(false), &json!("front"))
    );
    let volume = engine.docker.inspect_volume(&format!("{project}_data")).await.unwrap();
    assert_eq!(volume.labels["keep"], "yes");
    assert_eq!(volume.labels["com.docker.compose.volume"], "data");
    let started = |container: &Value| container["State"]["StartedAt"].as_str().unwrap().to_owned();
    assert!(started(&db) < started(&migrate) || started(&migrate) < started(&api));
    assert!(started(&db) < started(&api) && started(&migrate) < started(&api));

    let left = engine.left(&data).await;
    let without_tags: Vec<&str> = left.iter().map(|name| name.split(':').next().unwrap()).collect();
    assert_eq!(
        without_tags,
        [
            "container /every-api-1",
            "container /every-db-1",
            "container /every-migrate-1",
            "image every-api",
            "image every-api",
            "network every_back",
            "network every_front",
            "volume every_data",
        ],
        "{left:?}"
    );
    let answer = host.data(ADA, "{ every_get(name: \"api\") }", json!({})).await;
    let url = answer["every_get"]["url"].as_str().unwrap();
    assert!(url.ends_with(":8080"), "{answer}");
    // BusyBox answers that there is no such file.
    let fetched =
        host.data(ADA, &format!("{{ every_fetch(url: \"{url}/none\") }}"), json!({})).await;
    assert!(fetched["every_fetch"].as_str().unwrap().contains("404"), "{fetched}");

    let before = engine.inspect(&engine.container(&data, "every", "db")).await["Id"].clone();
    // Nothing of this has to do with the database, which goes on as it is.
    write(&host.plugins.join("every/conf/app.conf"), "configured anew\n");
    manager.reload("every").await.unwrap();
    assert_eq!(engine.inspect(&engine.container(&data, "every", "db")).await["Id"], before);
    let written = engine.logs(&engine.container(&data, "every", "api")).await;
    assert!(written.contains("configured anew"), "{written}");

    manager.uninstall("every", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn plugins_do_not_reach_each_others_containers() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let serving = "services:\n  web:\n    image: {busybox}\n    command: [httpd, -f, -p, \"8080\"]\n    \
                   expose: [\"8080\"]\n    stop_grace_period: 0s\n";
    for id in ["one", "two"] {
        write_plugin(&host.plugins, id, serving, &[]);
        host.host.manager().install(id, true).await.unwrap();
        host.host.manager().activate(id).await.unwrap();
    }
    let url = |id: &str| format!("{{ {id}_get(name: \"web\") }}");
    let one = host.data(ADA, &url("one"), json!({})).await["one_get"]["url"].clone();
    let two = host.data(ADA, &url("two"), json!({})).await["two_get"]["url"].clone();
    // Its own without a grant, but not the other's.
    host.data(ADA, &format!("{{ one_fetch(url: {one}) }}"), json!({})).await;
    let refused = host.error(Some(ADA), &format!("{{ one_fetch(url: {two}) }}"), json!({})).await;
    assert_eq!(refused["extensions"]["code"], "forbidden");
    let error = host.error(Some(ADA), "{ one_get(name: \"wep\") }", json!({})).await;
    assert_eq!(error["extensions"]["code"], "unexpected");
    // Nor do the containers see each other.
    let data = host.dir.path().join("data");
    let container = engine.container(&data, "one", "web");
    let ask = |url: &Value| {
        let url = url.as_str().unwrap().strip_prefix("http://").unwrap().replace(':', " ");
        format!("printf 'GET /none HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {url}")
    };
    let (own, _) = engine.run(&container, &["sh", "-c", &ask(&one)]).await;
    assert!(own.contains("404"), "its own network: {own}");
    let (other, code) = engine.run(&container, &["sh", "-c", &ask(&two)]).await;
    assert_ne!(code, 0, "{other}");
    assert!(!other.contains("404"), "{other}");
    for id in ["one", "two"] {
        host.host.manager().uninstall(id, false).await.unwrap();
    }
    host.stop().await;
}

#[tokio::test]
async fn a_reload_that_fails_brings_back_what_was_there() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let good = "services:\n  web:\n    image: {busybox}\n    command: [httpd, -f, -p, \"8080\"]\n    \
                expose: [\"8080\"]\n    stop_grace_period: 0s\n";
    write_plugin(&host.plugins, "swap", good, &[]);
    let manager = host.host.manager();
    manager.install("swap", true).await.unwrap();
    manager.activate("swap").await.unwrap();
    let data = host.dir.path().join("data");
    let before = engine.left(&data).await;
    let file = host.plugins.join("swap/docker-compose.yml");
    let with = |command: &str| {
        format!(
            "services:\n  web:\n    image: {BUSYBOX}\n    command: {command}\n    expose: [\"8080\"]\n    stop_grace_period: 0s\n"
        )
    };
    write(&file, &with("sh -c \"echo no disk today >&2; exit 7\""));
    let error = manager.reload("swap").await.unwrap_err();
    assert!(error.message.contains("ended") && error.message.contains("no disk today"), "{error}");
    assert_eq!(engine.left(&data).await, before);
    let got = host.data(ADA, "{ swap_get(name: \"web\") }", json!({})).await["swap_get"].clone();
    assert_eq!(got["state"], "running");
    host.data(ADA, &format!("{{ swap_fetch(url: {}) }}", got["url"]), json!({})).await;
    // Another kind of network takes its containers with it; one that is not declared any more goes.
    let networked = |network: &str, internal: bool| {
        with("[httpd, -f, -p, \"8080\"]")
            + &format!(
                "    networks: [{network}]\nnetworks:\n  {network}: {{ internal: {internal} }}\n"
            )
    };
    for (network, internal) in [("inner", false), ("inner", true), ("other", true)] {
        write(&file, &networked(network, internal));
        manager.reload("swap").await.unwrap();
        let left = engine.left(&data).await;
        assert_eq!(left, ["container /swap-web-1".to_owned(), format!("network swap_{network}")]);
        let project = engine.container(&data, "swap", "x").replace("-x-1", "");
        let found = engine.network(&format!("{project}_{network}")).await;
        assert_eq!(found["Internal"], internal);
    }
    // A version without services leaves none.
    let manifest = std::fs::read_to_string(host.plugins.join("swap/manifest.json")).unwrap();
    write(
        &host.plugins.join("swap/manifest.json"),
        &manifest.replace("\"enabled\": true", "\"enabled\": false"),
    );
    manager.reload("swap").await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    manager.uninstall("swap", false).await.unwrap();
    host.stop().await;
}

#[tokio::test]
async fn a_volume_outlives_deactivation_and_what_is_to_stay_outlives_uninstallation() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let compose = "services:\n  db:\n    image: {busybox}\n    \
                   command: [sh, -c, \"echo once >> /data/log; cat /data/log; exec sleep 600\"]\n    \
                   volumes: [\"kept:/data\"]\n    stop_grace_period: 0s\nvolumes:\n  kept:\n";
    write_plugin(&host.plugins, "keeper", compose, &[]);
    let manager = host.host.manager();
    let data = host.dir.path().join("data");
    let manifest = std::fs::read_to_string(host.plugins.join("keeper/manifest.json")).unwrap();
    for (flags, left_when_inactive, left_at_the_end) in [
        ("", vec!["volume keeper_kept"], vec![]),
        (
            ", \"downOnDeactivate\": false, \"removeOnUninstall\": false",
            vec!["container /keeper-db-1", "network keeper_default", "volume keeper_kept"],
            vec!["volume keeper_kept"],
        ),
    ] {
        let flagged = manifest.replace("\"enabled\": true", &format!("\"enabled\": true{flags}"));
        write(&host.plugins.join("keeper/manifest.json"), &flagged);
        manager.install("keeper", true).await.unwrap();
        manager.activate("keeper").await.unwrap();
        manager.deactivate("keeper", false).await.unwrap();
        assert_eq!(engine.left(&data).await, left_when_inactive, "{flags}");
        manager.activate("keeper").await.unwrap();
        let written = engine.logs(&engine.container(&data, "keeper", "db")).await;
        // The container that was never stopped has written only once.
        let lines = if flags.is_empty() { 2 } else { 1 };
        assert_eq!(written.lines().count(), lines, "{flags}: {written}");
        manager.uninstall("keeper", false).await.unwrap();
        assert_eq!(engine.left(&data).await, left_at_the_end, "{flags}");
    }
    let volume = format!("{}_kept", engine.container(&data, "keeper", "x").replace("-x-1", ""));
    let none = None::<bollard::query_parameters::RemoveVolumeOptions>;
    engine.docker.remove_volume(&volume, none).await.unwrap();
    host.stop().await;
}
