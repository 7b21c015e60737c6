//! Measures a whole host over HTTP. Run by hand: `cargo bench --bench host -- NAME…`, where NAME is
//! `data`, `hooks`, `reload`, `start`, `throughput`, or nothing for all of them. Compare figures of one run only.

mod data;
mod hooks;
mod reload;
mod start;
mod support;
mod throughput;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let benches: [(&str, fn()); 5] = [
        ("data", data::run),
        ("hooks", hooks::run),
        ("reload", reload::run),
        ("start", start::run),
        ("throughput", throughput::run),
    ];
    for (name, run) in benches {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("== {name}");
            run();
        }
    }
}
