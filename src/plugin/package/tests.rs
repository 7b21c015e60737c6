use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const MANIFEST: &str = r#"{ "name": "P", "pluginId": "packed", "version": "1.0.0", "description": "d",
    "author": "a", "main": "init.lua" }"#;

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn with(files: &[(&str, &[u8])]) -> Vec<u8> {
    zipped(&[&[("manifest.json", MANIFEST.as_bytes())], files].concat())
}

fn paths(zip: &[u8]) -> Vec<String> {
    Package::read(zip).unwrap().files.into_keys().collect()
}

fn said(zip: &[u8]) -> String {
    Package::read(zip).unwrap_err().message
}

#[test]
fn the_plugin_is_found_where_packers_put_it() {
    let manifest = MANIFEST.as_bytes();
    let expected = ["init.lua", "manifest.json"];
    for root in ["", "packed/", "api/", "packed-1.0/api/"] {
        let (m, i) = (format!("{root}manifest.json"), format!("{root}init.lua"));
        assert_eq!(paths(&zipped(&[(&m, manifest), (&i, b"")])), expected, "{root}");
    }
    let original = [
        ("admin/index.tsx", &b"x"[..]),
        ("api/manifest.json", manifest),
        ("api/init.lua", b""),
        ("__MACOSX/api/._init.lua", b"x"),
        ("api/.DS_Store", b"x"),
    ];
    assert_eq!(paths(&zipped(&original)), expected);
    for none in [zipped(&[]), zipped(&[("a/manifest.json", manifest), ("b/init.lua", b"")])] {
        assert!(said(&none).contains("there is no manifest.json"), "{}", said(&none));
    }
    assert!(said(b"no zip").contains("it is no zip"));
    let broken = said(&zipped(&[("manifest.json", b"{}")]));
    assert!(broken.contains("manifest.json") && broken.contains("pluginId"), "{broken}");
}

#[test]
fn no_path_leaves_the_folder() {
    let odd = [
        "../evil.lua",
        "a/../../evil.lua",
        "/etc/evil",
        "a//b",
        "./a",
        "a/./b",
        "..\\evil",
        "C:evil",
        "a\\..\\b",
        "a/..",
        "..",
    ];
    for path in odd {
        let zip = with(&[(path, b"x")]);
        assert!(
            said(&zip).contains("does not stay in the plugin's folder"),
            "{path}: {}",
            said(&zip)
        );
    }
    let deep = format!("{}x", "a/".repeat(40));
    assert!(said(&with(&[(&deep, b"x")])).contains("folders deep"));
    assert!(said(&with(&[("a", b"x"), ("a/b", b"x")])).contains("both a file and a folder"));
}

#[test]
fn links_and_devices_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("secret", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    assert!(said(&zip).contains("\"secret\" is a link"), "{}", said(&zip));
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = vec![0; 8 << 20];
    let bomb = with(&[("zeros", &zeros)]);
    assert!(bomb.len() < 100_000);
    assert!(
        said(&bomb).contains("more than 100 times as large as it is packed"),
        "{}",
        said(&bomb)
    );
    // Many that are not much larger than allowed, each.
    let mut random = vec![0; 6 << 20];
    let mut state = 1_u64;
    for byte in &mut random {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    let large = with(&[("a", &random), ("b", &random), ("c", &random)]);
    assert!(said(&large).contains("larger than 16777216 bytes together"), "{}", said(&large));
    let names: Vec<String> = (0..2_500).map(|i| format!("f{i}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(said(&with(&many)).contains("at most 2000 are allowed"));
    // Headers that lie about sizes.
    let mut lying = with(&[("zeros", &vec![0; 1 << 20])]);
    let size = u32::to_le_bytes(1 << 20);
    while let Some(at) = lying.windows(4).position(|window| window == size) {
        lying[at..at + 4].copy_from_slice(&u32::to_le_bytes(10));
    }
    assert!(Package::read(&lying).is_err());
}

#[test]
fn what_is_truncated_or_garbled_is_an_error() {
    let whole = with(&[("init.lua", &b"return {}".repeat(100))]);
    for end in (0..whole.len()).step_by(7) {
        assert!(Package::read(&whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut garbled = whole.clone();
        garbled[at] ^= 0x55;
        // Whatever comes of it, it is no panic, and stays inside.
        if let Ok(package) = Package::read(&garbled) {
            assert!(package.files.keys().all(|path| !path.contains("..")));
        }
    }
}
