//! A start with 100 active plugins, the memory it takes, and the activation of one more.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{report, serve, write_plugin};

const PLUGINS: usize = 100;

fn body(i: usize) -> String {
    format!(
        "builder:objectType(\"Thing{i}\", {{ fields = {{ id = \"ID!\", name = \"String!\", \
         size = {{ type = \"Int!\", resolve = function(thing) return #thing.name end }} }} }})\n\
         builder:queryField(\"thing\", {{ type = \"Thing{i}!\", auth = \"public\", \
         args = {{ id = \"ID!\" }}, resolve = function(_, args) \
         return {{ id = args.id, name = \"thing {i}\" }} end }})"
    )
}

pub fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (dir, activations) = runtime.block_on(async {
        let served = serve(Vec::new(), |_| ()).await;
        let plugins = served.dir.path().join("plugins");
        let manager = served.host.manager();
        for i in 0..PLUGINS {
            let id = format!("plugin{i}");
            write_plugin(&plugins, &id, &body(i));
            manager.install(&id, false).await.expect("it installs");
            manager.activate(&id).await.expect("it activates");
        }
        let mut activations = Vec::new();
        write_plugin(&plugins, "more", &body(PLUGINS));
        manager.install("more", false).await.expect("it installs");
        for _ in 0..20 {
            let start = Instant::now();
            manager.activate("more").await.expect("it activates");
            activations.push(start.elapsed());
            manager.deactivate("more", false).await.expect("it deactivates");
        }
        served.host.stop().await;
        (served.dir, activations)
    });
    report("activation of one more", activations);

    let mut starts = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        let mut server = Command::new(env!("CARGO_BIN_EXE_moondock"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let output = server.stdout.take().expect("its output was asked for");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        starts.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(100));
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
        let resident = status.unwrap_or_default();
        let resident =
            resident.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: ?");
        if starts.len() == 10 {
            println!("resident with {PLUGINS} active plugins: {resident}");
        }
        server.kill().expect("it was running");
        server.wait().expect("it ends");
    }
    report("process start to listening", starts);
}
