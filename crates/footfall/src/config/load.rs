//! Layers the sources. An error names the key and its source.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::Config;

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "footfall.toml";

const PREFIX: &str = "FOOTFALL_";

/// Variables with our prefix that are not settings: the command line or the tests read them.
const NO_SETTINGS: [&str; 3] = ["TOKEN", "CONFIG", "BIN"];

/// A value from a flag or a variable, as text; each kind of value parses itself.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Names from the outermost table inwards.
    key: Vec<String>,
    value: String,
    /// Where it was given, for error messages.
    origin: String,
}

impl Setting {
    /// `key` has dots between its names.
    pub(crate) fn flag(flag: &str, key: &str, value: impl Into<String>) -> Self {
        Self::new(key, value, format!("flag {flag}"))
    }

    /// A default of one command only.
    pub(crate) fn preset(key: &str, value: impl Into<String>) -> Self {
        Self::new(key, value, "command's own default".to_owned())
    }

    fn new(key: &str, value: impl Into<String>, origin: String) -> Self {
        Self {
            key: key.split('.').map(str::to_owned).collect(),
            value: value.into(),
            origin,
        }
    }
}

/// Where configuration comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// A command's presets, below everything else.
    pub(crate) defaults: Vec<Setting>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) env: Vec<Setting>,
    pub(crate) flags: Vec<Setting>,
}

/// Why the configuration can't be loaded.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum ConfigError {
    #[error("the configuration file {0} can't be read; is the path right?")]
    NoFile(PathBuf),
    #[error("{0}")]
    Invalid(String),
}

impl Sources {
    /// The named file, or the default one if it exists.
    pub(crate) fn file_or_usual(named: Option<PathBuf>) -> Option<PathBuf> {
        named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
    }

    /// The process's variables that are settings.
    pub(crate) fn environment() -> Vec<Setting> {
        let text = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        settings_of(text.map(|(name, value)| (name, value.to_string_lossy().into_owned())))
    }

    /// The effective configuration.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let mut figment = Figment::new();
        for setting in &self.defaults {
            figment = figment.merge(setting);
        }
        if let Some(path) = &self.file {
            if !path.is_file() {
                return Err(ConfigError::NoFile(path.clone()));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        for setting in self.env.iter().chain(&self.flags) {
            figment = figment.merge(setting);
        }
        // Lossy: numbers and booleans may come as text.
        figment.extract_lossy().map_err(|error| describe(&figment, &error))
    }
}

/// `FOOTFALL_HTTP__ADDR=x` is `http.addr = x`.
pub(super) fn settings_of(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Setting> {
    let mut settings: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?;
            if NO_SETTINGS.contains(&key) || is_service_link(key) {
                return None;
            }
            let key = key.to_ascii_lowercase().replace("__", ".");
            Some(Setting::new(&key, value, format!("environment variable {name}")))
        })
        .collect();
    settings.sort_by(|a, b| a.origin.cmp(&b.origin));
    settings
}

/// Kubernetes describes a service named `footfall` to every container in variables such as `FOOTFALL_SERVICE_HOST` and
/// `FOOTFALL_PORT_8080_TCP_ADDR`. They are not settings, and must not stop the server.
fn is_service_link(key: &str) -> bool {
    key.starts_with("SERVICE_") || key == "PORT" || key.starts_with("PORT_")
}

impl Provider for &Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut names = self.key.iter().rev();
        let mut dict = Dict::new();
        if let Some(innermost) = names.next() {
            dict.insert(innermost.clone(), Value::from(self.value.as_str()));
        }
        for name in names {
            dict = Dict::from([(name.clone(), Value::from(dict))]);
        }
        Ok(Profile::Default.collect(dict))
    }
}

/// Converts Figment's first error to ours.
fn describe(figment: &Figment, error: &figment::Error) -> ConfigError {
    let key = error.path.join(".");
    let metadata = error.metadata.as_ref().or_else(|| figment.find_metadata(&key));
    let origin = metadata.map_or_else(|| "the configuration".to_owned(), origin);
    let what = match &error.kind {
        Kind::UnknownField(_, known) => {
            format!("unknown key {key}; known here: {}", known.join(", "))
        }
        Kind::UnknownVariant(found, known) => format!("{key} is {found:?}; expected {}", known.join(" or ")),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("{key} is {found}; expected {expected}")
        }
        Kind::Message(reason) if key.is_empty() => reason.trim_end().to_owned(),
        other => format!("{key}: {other}"),
    };
    ConfigError::Invalid(format!("{origin}: {what}"))
}

fn origin(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(|source| source.file_path()) {
        Some(path) => format!("file {}", shown(path)),
        None => metadata.name.to_string(),
    }
}

/// Relative to the current folder if possible, as it was likely given.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
