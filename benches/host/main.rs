//! Measures a whole host over HTTP. Run by hand: `cargo bench --bench host -- NAME…`, where NAME is
//! `data`, `hooks`, `reload`, `start`, `throughput`, `webhooks`, or nothing for all of them. Compare figures
//! of one run only.

mod data;
mod hooks;
mod reload;
mod start;
mod support;
mod throughput;
mod webhooks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let benches: [(&str, fn()); 6] = [
        ("data", data::run),
        ("hooks", hooks::run),
        ("reload", reload::run),
        ("start", start::run),
        ("throughput", throughput::run),
        ("webhooks", webhooks::run),
    ];
    for (name, run) in benches {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("== {name}");
            run();
        }
    }
}
