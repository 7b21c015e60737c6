use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn shown(dir: &Path) -> Vec<String> {
    Source::read(dir).unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn a_folder_is_read_without_what_is_not_the_plugins() {
    let dir = folder(&[
        ("manifest.json", b"{}"),
        ("graphql/queries.lua", b"local a = 1\nreturn a\n"),
        ("logo.png", b"\x89PNG\xff"),
        (".git/config", b""),
        (".hidden", b""),
        (".env", b"A=1"),
        ("svc/.dockerignore", b""),
        ("node_modules/x/index.lua", b"\xff"),
        ("init.lua~", b""),
        ("init.lua.swp", b""),
        ("#init.lua#", b""),
        ("4913", b""),
    ]);
    let source = Source::read(dir.path()).unwrap();
    let paths: Vec<&str> = source.paths().collect();
    assert_eq!(
        paths,
        [".env", "graphql/queries.lua", "logo.png", "manifest.json", "svc/.dockerignore"]
    );
    assert_eq!(source.excerpt("graphql/queries.lua", 2).as_deref(), Some("return a"));
    assert_eq!(source.excerpt("graphql/queries.lua", 9), None);
    assert_eq!(source.get("logo.png"), None);
    assert_eq!(source.bytes("logo.png").map(<[u8]>::len), Some(5));
}

#[test]
fn the_hash_is_that_of_names_and_contents() {
    let a = Source::from_files([("a", "1"), ("b", "2")]);
    assert_eq!(a.hash().len(), 64);
    assert_eq!(a.hash(), Source::from_files([("b", "2"), ("a", "1")]).hash());
    for other in [[("a", "1"), ("b", "3")], [("a", "1"), ("c", "2")], [("a", "1b"), ("", "2")]] {
        assert_ne!(a.hash(), Source::from_files(other).hash());
    }
}

#[test]
fn limits_are_named() {
    let large = vec![b' '; 5 * 1024 * 1024];
    let dir = folder(&[("manifest.json", b"{}"), ("big.lua", &large), ("bad.luau", b"ok\xff")]);
    assert_eq!(
        shown(dir.path()),
        [
            "bad.luau: not valid UTF-8 at byte 2",
            "big.lua: the file has 5242880 bytes; at most 1048576 are allowed"
        ]
    );

    let dir = folder(&[("manifest.json", b"{}"), ("a.bin", &large), ("b.bin", &large)]);
    assert!(Source::read(dir.path()).is_ok());
    fs::write(dir.path().join("c.bin"), &large).unwrap();
    fs::write(dir.path().join("d.bin"), &large).unwrap();
    assert_eq!(shown(dir.path()), ["d.bin: the files of the folder have more than 16777216 bytes"]);

    let dir = folder(&[("manifest.json", b"{}")]);
    for i in 0..MAX_FILES {
        fs::write(dir.path().join(format!("f{i}")), "").unwrap();
    }
    assert_eq!(shown(dir.path()), ["there are more than 2000 files and folders"]);

    let deep = "d/".repeat(MAX_DEPTH) + "x.lua";
    let dir = folder(&[("manifest.json", b"{}"), (&deep, b"")]);
    assert!(shown(dir.path())[0].ends_with("folders are nested more than 16 deep"));
}

#[test]
fn links_stay_inside() {
    let outside = folder(&[("secret.lua", b"return 1")]);
    let dir = folder(&[("manifest.json", b"{}"), ("lib/a.lua", b"return 1")]);
    symlink("lib/a.lua", dir.path().join("link.lua")).unwrap();
    symlink("lib", dir.path().join("again")).unwrap();
    let source = Source::read(dir.path()).unwrap();
    assert_eq!(source.get("link.lua"), Some("return 1"));
    assert_eq!(source.get("again/a.lua"), Some("return 1"));

    let target = outside.path().join("secret.lua");
    symlink(&target, dir.path().join("out.lua")).unwrap();
    symlink("..", dir.path().join("lib/up")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    symlink("self", dir.path().join("self")).unwrap();
    let problems = shown(dir.path());
    for expected in [
        format!("out.lua: the link points out of the plugin's folder, to {}", target.display()),
        "lib/up: the link leads back to a folder that it is in".to_owned(),
    ] {
        assert!(problems.contains(&expected), "{problems:#?}");
    }
    assert!(problems.iter().any(|p| p.starts_with("dangling: cannot follow the link to nowhere")));
    assert!(problems.iter().any(|p| p.starts_with("self: cannot follow the link to self")));
}

#[test]
fn links_from_folder_to_folder_do_not_multiply() {
    let dir = folder(&[("manifest.json", b"{}")]);
    for level in 0..12 {
        let here = dir.path().join(format!("d{level}"));
        fs::create_dir(&here).unwrap();
        for link in 0..10 {
            symlink(format!("../d{}", level + 1), here.join(format!("l{link}"))).unwrap();
        }
    }
    fs::create_dir(dir.path().join("d12")).unwrap();
    assert_eq!(shown(dir.path()), ["there are more than 2000 files and folders"]);
}

#[test]
fn what_is_no_plugin_folder_says_so() {
    let dir = folder(&[("a/init.lua", b"")]);
    assert!(shown(&dir.path().join("none"))[0].starts_with("cannot read the folder"));
    assert!(shown(&dir.path().join("a/init.lua"))[0].ends_with("is not a folder"));
    assert!(shown(&dir.path().join("a"))[0].ends_with("has no manifest.json"));
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("a/pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(shown(&dir.path().join("a"))[0], "pipe: is neither a file nor a folder");
    }
}

#[test]
fn a_scan_finds_folders_and_shared_ids() {
    let dir = folder(&[
        ("polls/manifest.json", br#"{"pluginId":"polls"}"#),
        ("a_copy/manifest.json", br#"{"pluginId":"polls"}"#),
        ("Shop/manifest.json", br#"{"pluginId":"Shop"}"#),
        ("shop/manifest.json", br#"{"pluginId":"shop"}"#),
        ("empty/readme.md", b""),
        ("broken/manifest.json", b"{"),
        (".hidden/manifest.json", b"{}"),
        ("file.lua", b""),
    ]);
    let found = scan(dir.path()).unwrap();
    let names: Vec<&str> = found.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["Shop", "a_copy", "broken", "empty", "polls", "shop"]);
    let problems: Vec<String> =
        found.iter().filter_map(|c| c.problem.as_ref()).map(|p| p.message.clone()).collect();
    assert_eq!(
        problems,
        [
            "pluginId: \"polls\" is already the id of the plugin in the folder \"polls\"",
            "pluginId: \"shop\" differs only in case from \"Shop\", the id of the plugin in the \
             folder \"Shop\"",
        ]
    );
    assert!(scan(&dir.path().join("none")).unwrap().is_empty());
    assert!(scan(&dir.path().join("file.lua")).is_err());
}

#[test]
fn a_file_that_is_being_saved_is_waited_for() {
    let dir = folder(&[("manifest.json", b"{}"), ("init.lua", b""), ("empty.lua", b"")]);
    let script = dir.path().join("init.lua");
    let saving = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        fs::write(script, "return 1").unwrap();
    });
    let source = Source::read(dir.path()).unwrap();
    saving.join().unwrap();
    assert_eq!(source.get("init.lua"), Some("return 1"));
    assert_eq!(source.get("empty.lua"), Some(""), "what stays empty is empty");
}
