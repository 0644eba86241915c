//! What the command line says.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub(crate) const USAGE: &str = "\
usage: replicas --role api|worker|both --store sqlite:PATH|postgres:URL|redis:URL
                [--listen 127.0.0.1:3000] [--lease 15s] [--retention 10m] [--name NAME]
                [--journal PATH]

  --role       api answers requests and leaves durable work to others; worker does that work; both does both
  --store      where operations live: a file, or a server, such as redis:redis://127.0.0.1/; its URL alone does, too
  --listen     where to listen; port 0 is any free one
  --lease      after how long without word from it a replica counts as dead, at least 1s
  --retention  how long operations are kept that have ended
  --name       what this replica calls itself: by default the address where it listens
  --journal    a file to which a line is added whenever work begins, and whenever it ends";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Api,
    Worker,
    Both,
}

/// Where the operations live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres(String),
    Redis(String),
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) role: Role,
    pub(crate) store: Location,
    pub(crate) listen: SocketAddr,
    pub(crate) lease: Duration,
    pub(crate) retention: Duration,
    pub(crate) name: String,
    pub(crate) journal: Option<PathBuf>,
}

impl Arguments {
    /// # Errors
    ///
    /// Says what is wrong, or missing.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut role, mut store, mut listen, mut name, mut journal) = (None, None, None, None, None);
        let (mut lease, mut retention) = (Duration::from_secs(15), Duration::from_secs(10 * 60));
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option}: a value is missing"));
            match option.as_str() {
                "--role" => role = Some(parse_role(&value()?)?),
                "--store" => store = Some(parse_store(&value()?)?),
                "--listen" => listen = Some(parse_listen(&value()?)?),
                "--lease" => lease = parse_duration(&option, &value()?)?,
                "--retention" => retention = parse_duration(&option, &value()?)?,
                "--name" => name = Some(value()?),
                "--journal" => journal = Some(value()?.into()),
                _ => return Err(format!("{option}: not an option")),
            }
        }
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000)));
        Ok(Self {
            role: role.ok_or("--role is missing")?,
            store: store.ok_or("--store is missing")?,
            listen,
            lease,
            retention,
            name: name.unwrap_or_else(|| listen.to_string()),
            journal,
        })
    }
}

fn parse_role(text: &str) -> Result<Role, String> {
    match text {
        "api" => Ok(Role::Api),
        "worker" => Ok(Role::Worker),
        "both" => Ok(Role::Both),
        _ => Err(format!("--role: expected api, worker or both, found {text:?}")),
    }
}

fn parse_store(text: &str) -> Result<Location, String> {
    let expected = || format!("--store: expected sqlite:PATH, postgres:URL or redis:URL, found {text:?}");
    let (engine, place) = text.split_once(':').ok_or_else(expected)?;
    // A URL says by itself of which engine it is.
    let url = if place.starts_with("//") { text } else { place };
    match (engine, url.split_once("://")) {
        ("sqlite", _) if !place.is_empty() => Ok(Location::Sqlite(place.into())),
        ("postgres" | "postgresql", Some(("postgres" | "postgresql", _))) => Ok(Location::Postgres(url.to_owned())),
        ("redis" | "rediss", Some(("redis" | "rediss", _))) => Ok(Location::Redis(url.to_owned())),
        _ => Err(expected()),
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("--listen: expected an address such as 127.0.0.1:3000, found {text:?}"))
}

fn parse_duration(option: &str, text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| format!("{option}: expected a duration such as 15s, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_engine_and_its_place() {
        let stores = [
            ("sqlite:operations.db", Location::Sqlite("operations.db".into())),
            ("sqlite:/var/a:b.db", Location::Sqlite("/var/a:b.db".into())),
            ("postgres:postgres://me@db/jobs", Location::Postgres("postgres://me@db/jobs".to_owned())),
            ("postgres:postgresql:///jobs", Location::Postgres("postgresql:///jobs".to_owned())),
            ("postgres://me@db/jobs", Location::Postgres("postgres://me@db/jobs".to_owned())),
            ("postgresql://me@db/jobs", Location::Postgres("postgresql://me@db/jobs".to_owned())),
            ("redis:redis://cache:6379/1", Location::Redis("redis://cache:6379/1".to_owned())),
            ("redis:rediss://cache/", Location::Redis("rediss://cache/".to_owned())),
            ("redis://cache:6379/1", Location::Redis("redis://cache:6379/1".to_owned())),
            ("rediss://cache/", Location::Redis("rediss://cache/".to_owned())),
        ];
        for (text, store) in stores {
            assert_eq!(parse_store(text), Ok(store), "{text}");
        }
    }

    #[test]
    fn what_names_no_store_is_refused() {
        let wrong = [
            "",
            "sqlite",
            "sqlite:",
            "operations.db",
            "postgres:jobs",
            "postgres:redis://cache/",
            "redis:postgres://db/",
            "redis:cache",
            "mysql://db/",
        ];
        for text in wrong {
            let refused = parse_store(text).unwrap_err();
            assert!(refused.ends_with(&format!("found {text:?}")), "{refused}");
        }
    }
}
