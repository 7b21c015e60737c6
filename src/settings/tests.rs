use std::fs;

use super::*;

fn load(flags: Flags, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Settings::load_from(&flags, env, Mode::Serve)
}

fn config(text: &str) -> (tempfile::TempDir, Flags) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("moondock.toml");
    fs::write(&path, text).unwrap();
    let config = Some(path.to_str().unwrap().to_owned());
    (dir, Flags { config, ..Flags::default() })
}

#[test]
fn flags_win_over_environment_and_that_over_the_file() {
    let (dir, flags) = config(
        "listen = \"0.0.0.0:1\"\nplugins = \"p\"\nlog = \"json\"\nmax-memory-mb = 7\nhot-reload = true\n",
    );
    let flags = Flags { listen: Some("localhost:3".into()), ..flags };
    let env =
        [("MOONDOCK_LISTEN", "0.0.0.0:2"), ("MOONDOCK_LOG", "text"), ("MOONDOCK_PLUGINS", "")];
    let settings = load(flags, &env).unwrap();
    assert_eq!(settings.listen, "localhost:3");
    assert_eq!(settings.log, LogFormat::Text);
    assert_eq!(settings.plugins, dir.path().join("p"));
    assert_eq!((settings.max_memory_mb, settings.hot_reload), (7, true));
    assert_eq!(settings.max_timeout_ms, 150_000);
}

#[test]
fn every_flag_has_a_key_and_every_key_a_flag() {
    use clap::CommandFactory;
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }
    let mut flags: Vec<String> =
        Cli::command().get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect();
    flags.retain(|flag| flag != "config" && flag != "help");
    assert_eq!(flags, file::keys().map(|key| key.name).collect::<Vec<_>>());

    let args = ["moondock"].into_iter().map(str::to_owned);
    let args = args.chain(flags.iter().map(|flag| format!("--{flag}=x")));
    let parsed = <Cli as clap::Parser>::try_parse_from(args).unwrap_or_else(|e| panic!("{e}"));
    for flag in &flags {
        assert_eq!(parsed.flags.get(flag).map(String::as_str), Some("x"), "{flag}");
    }
}

#[test]
fn a_wrong_value_is_one_line_that_says_where_it_was_set() {
    for (name, value, message) in [
        (
            "LISTEN",
            "8080",
            "listen: expected an address such as 127.0.0.1:8080, found \"8080\" (from MOONDOCK_LISTEN)",
        ),
        ("LOG", "xml", "log: expected \"text\" or \"json\", found \"xml\" (from MOONDOCK_LOG)"),
        (
            "HOT_RELOAD",
            "si",
            "hot-reload: expected true or false, found \"si\" (from MOONDOCK_HOT_RELOAD)",
        ),
        (
            "MAX_TIMEOUT_MS",
            "0",
            "max-timeout-ms: expected a whole number from 1 to 150000, found \"0\" (from MOONDOCK_MAX_TIMEOUT_MS)",
        ),
        (
            "ADMIN_TOKEN",
            "short-secret",
            "admin-token: expected at least 16 characters (from MOONDOCK_ADMIN_TOKEN)",
        ),
        (
            "DATABASE_URL",
            "mysql://u:pw@h",
            "database-url: expected a URL that starts with sqlite: or postgres:// (from MOONDOCK_DATABASE_URL)",
        ),
    ] {
        let variable = format!("MOONDOCK_{name}");
        let error = load(Flags::default(), &[(variable.as_str(), value)]).unwrap_err().to_string();
        assert_eq!(error, message);
    }
    for bad in ["infoo", "moondock=loud", "", "info,verbose"] {
        let flags = Flags { log_level: Some(bad.to_owned()), ..Flags::default() };
        assert!(load(flags, &[]).is_err(), "{bad:?}");
    }
    assert!(
        load(Flags { log_level: Some("warn,moondock=debug".into()), ..Flags::default() }, &[])
            .is_ok()
    );
}

#[test]
fn a_wrong_file_is_one_line_that_names_it() {
    for (text, end) in [
        ("listne = \"x\"", "moondock.toml: unknown key \"listne\"; did you mean \"listen\"?"),
        (
            "listen = 8080",
            "moondock.toml: listen: expected a string, found a value of type integer",
        ),
        ("body-limit = -1", "found \"-1\" (from "),
        ("[auth.jwt]\nisuer = \"x\"", "unknown key \"auth-jwt-isuer\"; did you mean"),
        ("[auth.jwt]\nsecret = \"short\"", "auth-jwt-secret: expected at least 32 characters"),
        ("[listen]\nport = 1", "listen: expected a string, found a value of type table"),
    ] {
        let (_dir, flags) = config(text);
        let error = load(flags, &[]).unwrap_err().to_string();
        assert!(error.contains(end) && !error.contains('\n'), "{error}");
    }
    let (_dir, flags) = config("log = \"text\"\nlisten = ");
    let error = load(flags, &[]).unwrap_err().to_string();
    assert!(error.contains("moondock.toml:2: ") && !error.contains('\n'), "{error}");
    let flags = Flags { config: Some("/none/x.toml".into()), ..Flags::default() };
    assert!(load(flags, &[]).unwrap_err().to_string().starts_with("cannot read the configuration"));
}

#[test]
fn secrets_do_not_show() {
    let flags = Flags {
        admin_token: Some("0123456789abcdef".into()),
        database_url: Some("postgres://u:hunter2@h/d".into()),
        ..Flags::default()
    };
    let settings = load(flags, &[]).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("hunter2"), "{shown}");
    assert_eq!(settings.admin_token.as_ref().map(Secret::expose), Some("0123456789abcdef"));
}

#[test]
fn keys_may_be_in_tables() {
    let text = "[auth.jwt]\njwks = \"keys.json\"\nissuer = \"https://id.example.com\"\n\
                administrator = \"boss\"\n[token]\nlifetime-hours = 2\n";
    let (dir, flags) = config(text);
    let settings = load(flags, &[("MOONDOCK_AUTH_JWT_ADMINISTRATOR", "chief")]).unwrap();
    let file = dir.path().join("keys.json");
    assert_eq!(settings.jwt.jwks.as_deref(), file.to_str());
    assert_eq!(settings.jwt.issuer.as_deref(), Some("https://id.example.com"));
    assert_eq!(settings.jwt.administrator.as_deref(), Some("chief"));
    assert_eq!(settings.token_lifetime, std::time::Duration::from_secs(7_200));
    assert!(settings.jwt.is_set());
}
