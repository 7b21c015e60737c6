use super::model::*;
use super::*;

const BOUNDS: Bounds = Bounds { memory: 512 << 20, cpus: 1.0, pids: 256 };

fn parse_with(
    compose: &str,
    more: &[(&str, &str)],
    only: Option<&str>,
) -> Result<Parsed, Vec<Problem>> {
    let mut files = vec![("docker-compose.yml", compose)];
    files.extend_from_slice(more);
    let source = Source::from_files(files);
    let mut variables = Variables::default();
    variables.set("TAG", "17");
    variables.set("PASSED", "on");
    let context = Context { source: &source, variables: &variables, bounds: BOUNDS, only };
    parse("docker-compose.yml", &context)
}

fn project(compose: &str) -> Project {
    match parse_with(
        compose,
        &[("conf/app.conf", "x"), (".env", "A=1\nB=${TAG}\n"), ("svc/Dockerfile", "FROM scratch")],
        None,
    ) {
        Ok(parsed) => parsed.project,
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// The problems as `line path: message`.
fn problems(compose: &str) -> Vec<String> {
    let files = [("conf/app.conf", "x"), ("svc/Dockerfile", "FROM scratch")];
    let problems = parse_with(compose, &files, None).unwrap_err();
    problems.iter().map(|p| format!("{} {}", p.line.unwrap_or(0), p.message)).collect()
}

const ALL: &str = r#"
version: "3.9"
x-common: &common
  restart: on-failure:3
services:
  api:
    <<: *common
    build:
      context: ./svc
      dockerfile: Dockerfile
      args: { BASE: "x:${TAG}", PASSED: }
      target: final
    command: serve --name "two words"
    entrypoint: ["/bin/app"]
    environment:
      NUMBER: 5
      FLAG: true
      PASSED:
      UNSET:
    env_file: .env
    ports:
      - "8080:80"
      - { target: 53, published: "5300", protocol: udp }
    expose: [9000, "9001-9002"]
    volumes:
      - data:/data
      - ./conf:/etc/app:ro
      - type: volume
        source: data
        target: /more
        read_only: true
      - /scratch
    networks:
      front: { aliases: [web] }
      back:
    depends_on:
      db: { condition: service_healthy }
      once: { condition: service_completed_successfully }
      plain: { condition: service_started, required: false }
    user: 1000
    working_dir: /srv
    labels: { tier: front, empty: }
    stop_grace_period: 1m30s
    deploy:
      resources:
        limits: { cpus: "0.5", memory: 64M, pids: 20 }
        reservations: { memory: 32m }
  db:
    image: postgres:${TAG:-16}
    healthcheck:
      test: ["CMD", "true"]
      interval: 5s
      timeout: 1s
      retries: 4
      start_period: 2s
      start_interval: 500ms
    restart: "no"
    mem_limit: 128m
    mem_reservation: 64m
    cpus: 0.25
    pids_limit: 50
  once:
    image: postgres:17
    healthcheck: { disable: true }
    restart: unless-stopped
    environment: ["A=b=c", PASSED]
  debug:
    image: debug
    profiles: [debug]
networks:
  front: { driver: bridge, labels: { a: b } }
  back: { internal: true }
  unused:
volumes:
  data: { labels: [x=y] }
  unused:
"#;

#[test]
fn every_key_is_read() {
    let project = project(ALL);
    let names: Vec<&str> = project.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["db", "once", "api"]);
    let api = &project.services["api"];
    let build = api.build.as_ref().unwrap();
    assert_eq!((build.context.as_str(), build.dockerfile.as_str()), ("svc", "Dockerfile"));
    assert_eq!(build.args["BASE"], "x:17");
    assert_eq!(build.args["PASSED"], "on");
    assert_eq!(build.target.as_deref(), Some("final"));
    assert_eq!(api.command.as_ref().unwrap(), &["serve", "--name", "two words"]);
    let environment: Vec<String> =
        api.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(environment, ["A=1", "B=17", "NUMBER=5", "FLAG=true", "PASSED=on"]);
    assert_eq!(api.ports.len(), 2);
    assert_eq!(api.ports[1].target, Exposed { port: 53, protocol: Protocol::Udp });
    assert_eq!(api.expose.iter().map(|e| e.port).collect::<Vec<_>>(), [9000, 9001, 9002]);
    assert_eq!(api.mounts.len(), 4);
    assert!(api.mounts[1].content_hash.is_some());
    assert_eq!(api.networks["front"], ["web"]);
    assert_eq!(api.depends_on["db"].condition, Condition::Healthy);
    assert!(!api.depends_on.contains_key("plain"));
    assert_eq!(api.restart, Restart::OnFailure(Some(3)));
    assert_eq!(api.user.as_deref(), Some("1000"));
    assert_eq!(api.labels["empty"], "");
    assert_eq!(api.stop_grace_period.unwrap().as_secs(), 90);
    assert_eq!(api.limits.memory, Some(64 << 20));
    assert_eq!((api.limits.cpus, api.limits.pids), (Some(0.5), Some(20)));
    assert_eq!(api.main_port(), Some(80));
    let db = &project.services["db"];
    assert_eq!(db.image.as_deref(), Some("postgres:17"));
    assert_eq!(db.restart, Restart::No);
    assert_eq!(db.healthcheck.as_ref().unwrap().start_interval.unwrap().as_millis(), 500);
    assert_eq!(db.networks.keys().collect::<Vec<_>>(), [DEFAULT_NETWORK]);
    assert_eq!(project.services["once"].environment["A"], "b=c");
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["front", "back", DEFAULT_NETWORK]);
    assert_eq!(project.volumes.keys().collect::<Vec<_>>(), ["data"]);
}

/// Every key of the Compose Specification that is not carried out.
#[test]
fn every_other_key_is_refused_by_name_and_line() {
    let service = [
        "annotations",
        "attach",
        "blkio_config",
        "cap_add",
        "cap_drop",
        "cgroup",
        "cgroup_parent",
        "configs",
        "container_name",
        "cpu_count",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpuset",
        "credential_spec",
        "develop",
        "device_cgroup_rules",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "driver_opts",
        "extends",
        "external_links",
        "extra_hosts",
        "gpus",
        "group_add",
        "hostname",
        "init",
        "ipc",
        "isolation",
        "label_file",
        "links",
        "logging",
        "mac_address",
        "mem_swappiness",
        "memswap_limit",
        "network_mode",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "platform",
        "post_start",
        "pre_stop",
        "privileged",
        "provider",
        "pull_policy",
        "read_only",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_signal",
        "storage_opt",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "userns_mode",
        "uts",
        "volumes_from",
        "nonsense",
    ];
    for key in service {
        let found = problems(&format!("services:\n  a:\n    image: x\n    {key}: true\n"));
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        assert!(found[0].starts_with(&format!("4 services.a.{key}: is not ")), "{key}: {found:?}");
    }
    for (path, line, text) in [
        ("name", 1, "name: x\nservices: { a: { image: x } }\n"),
        ("secrets", 2, "services: { a: { image: x } }\nsecrets:\n"),
        ("include", 2, "services: { a: { image: x } }\ninclude:\n"),
        (
            "networks.n.external",
            3,
            "services: { a: { image: x } }\nnetworks:\n  n: { external: true }\n",
        ),
        ("networks.n.name", 3, "services: { a: { image: x } }\nnetworks:\n  n: { name: host }\n"),
        ("networks.n.ipam", 3, "services: { a: { image: x } }\nnetworks:\n  n: { ipam: }\n"),
        (
            "volumes.v.driver_opts",
            3,
            "services: { a: { image: x } }\nvolumes:\n  v: { driver_opts: { o: bind } }\n",
        ),
        (
            "volumes.v.external",
            3,
            "services: { a: { image: x } }\nvolumes:\n  v: { external: true }\n",
        ),
        (
            "services.a.build.network",
            3,
            "services:\n  a:\n    build: { context: svc, network: host }\n",
        ),
        ("services.a.build.ssh", 3, "services:\n  a:\n    build: { context: svc, ssh: default }\n"),
        (
            "services.a.build.cache_from",
            3,
            "services:\n  a:\n    build: { context: svc, cache_from: [x] }\n",
        ),
        (
            "services.a.deploy.replicas",
            2,
            "services:\n  a: { image: x, deploy: { replicas: 2 } }\n",
        ),
        (
            "services.a.deploy.resources.reservations.devices",
            2,
            "services:\n  a: { image: x, deploy: { resources: { reservations: { devices: [] } } } }\n",
        ),
        (
            "services.a.depends_on.b.restart",
            2,
            "services:\n  a: { image: x, depends_on: { b: { restart: true } } }\n  b: { image: x }\n",
        ),
        (
            "services.a.networks.default.ipv4_address",
            2,
            "services:\n  a: { image: x, networks: { default: { ipv4_address: 1.2.3.4 } } }\n",
        ),
        (
            "services.a.volumes[0].bind",
            2,
            "services:\n  a: { image: x, volumes: [{ type: bind, source: ./conf, target: /c, bind: { propagation: shared } }] }\n",
        ),
    ] {
        let found = problems(text);
        assert!(
            found.iter().any(|p| p.starts_with(&format!("{line} {path}: is not "))),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn what_leads_out_is_refused() {
    for (part, service) in [
        (
            "not inside the plugin's folder",
            "volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]",
        ),
        ("not inside the plugin's folder", "volumes: [\"../x:/x\"]"),
        ("not inside the plugin's folder", "volumes: [\"./conf/../../x:/x\"]"),
        ("not inside the plugin's folder", "volumes: [\"/etc:/x\"]"),
        ("not inside the plugin's folder", "volumes: [\"~/.ssh:/x\"]"),
        ("not inside the plugin's folder", "volumes: [{ type: bind, source: /, target: /x }]"),
        ("not inside the plugin's folder", "env_file: /etc/passwd"),
        ("not inside the plugin's folder", "env_file: [{ path: ../../x }]"),
        ("no \"./none\" in", "volumes: [\"./none:/x\"]"),
        ("no volume \"data\"", "volumes: [\"data:/x\"]"),
        ("expected volume or bind", "volumes: [{ type: tmpfs, target: /x }]"),
        ("expected volume or bind", "volumes: [{ type: npipe, source: x, target: /x }]"),
        ("published on the loopback only", "ports: [\"0.0.0.0:80:80\"]"),
        ("published on the loopback only", "ports: [{ target: 80, host_ip: 192.168.0.1 }]"),
        ("there is no network \"host\"", "networks: [host]"),
        ("the host sets this label", "labels: { com.docker.compose.project: other }"),
        ("the host sets this label", "labels: [dev.moondock.plugin=other]"),
        ("more than the 512 MiB", "mem_limit: 1g"),
        ("more than the 1 that", "cpus: 64"),
        ("more than the 256", "pids_limit: 100000"),
        ("expected a number of processes", "pids_limit: -1"),
        ("expected a size", "mem_limit: 0"),
        ("expected the name of an image", "image: \"--privileged\""),
        ("no closing brace", "command: \"${HOME\""),
    ] {
        let image = if service.starts_with("image") { "" } else { "    image: x\n" };
        let found = problems(&format!("services:\n  a:\n{image}    {service}\n"));
        assert!(found.iter().any(|p| p.contains(part)), "{service}: {found:?}");
    }
    for (part, build) in [
        ("not inside the plugin's folder", "{ context: .. }"),
        ("not inside the plugin's folder", "/"),
        ("not inside the plugin's folder", "{ context: svc, dockerfile: ../../x }"),
        ("a folder of the plugin", "https://github.com/x/y.git"),
        ("a folder of the plugin", "git@github.com:x/y.git"),
        ("no file \"Dockerfile\"", "conf"),
    ] {
        let found = problems(&format!("services:\n  a:\n    build: {build}\n"));
        assert!(found.iter().any(|p| p.contains(part)), "{build}: {found:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = problems(
        "services:\n  a:\n    privileged: true\n    ports: [x]\n  b: { image: y, restart: sometimes }\n  'c d': {}\nfoo: 1\n",
    );
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(
        found[0].starts_with("3 services.a.privileged: is not allowed: it would give"),
        "{found:?}"
    );
    for text in ["", "[]", "services:", "services: []", "x: 1", "a: b: c", "services: { a: 5 }"] {
        assert!(!problems(text).is_empty(), "{text}");
    }
}

#[test]
fn services_start_after_those_they_need() {
    let cycle = problems(
        "services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, depends_on: [c] }\n  c: { image: x, depends_on: [b] }\n",
    );
    assert!(cycle[0].contains("depend on each other: b, c"), "{cycle:?}");
    let text = "services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, profiles: [p] }\n  c: { image: x }\n";
    let names = |only| {
        let project = parse_with(text, &[], only).unwrap().project;
        project.services.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["b", "a", "c"]);
    assert_eq!(names(Some("a")), ["b", "a"]);
    assert_eq!(names(Some("b")), ["b"]);
    assert!(parse_with(text, &[], Some("z")).is_err());
}

#[test]
fn nothing_is_bound_that_a_container_could_swap() {
    let text = "services:\n  a: { image: x, volumes: [\"./conf:/w\"] }\n  b: { image: x, volumes: [\"./conf/app.conf:/c:ro\"] }\n";
    assert!(problems(text)[0].contains("which services.a can write to"), "{:?}", problems(text));
    project(&text.replace("./conf:/w", "./conf:/w:ro"));
}
