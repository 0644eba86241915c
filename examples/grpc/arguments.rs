//! What the command line says.

use std::net::SocketAddr;

use crate::generated::primes::FindGapRequest;

pub(crate) const USAGE: &str = "\
usage: grpc [--listen 127.0.0.1:50051]
       grpc client LENGTH [--from 0] [--to 1000000000000] [--server http://127.0.0.1:50051] [--user ann]

  --listen  where to listen; port 0 is any free one
  LENGTH    how far the two primes that the client asks for are to be apart
  --from    the first number to look at
  --to      the last one
  --server  where the server is
  --user    whose operation it is to be";

#[derive(Debug)]
pub(crate) enum Arguments {
    Serve { listen: SocketAddr },
    Client(Search),
}

/// What the client asks for, of whom, and as whom.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) server: String,
    pub(crate) user: String,
    pub(crate) request: FindGapRequest,
}

impl Arguments {
    /// # Errors
    ///
    /// Says what is wrong.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words.peekable();
        match words.next_if(|word| word == "client") {
            Some(_) => Search::parse(words).map(Self::Client),
            None => Ok(Self::Serve { listen: listen(words)? }),
        }
    }
}

impl Search {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let length = number("LENGTH", words.next())?;
        let mut search = Self {
            server: "http://127.0.0.1:50051".to_owned(),
            user: "ann".to_owned(),
            request: FindGapRequest { length, from: 0, to: 0 },
        };
        while let Some(option) = words.next() {
            match option.as_str() {
                "--from" => search.request.from = number(&option, words.next())?,
                "--to" => search.request.to = number(&option, words.next())?,
                "--server" => search.server = value(&option, words.next())?,
                "--user" => search.user = value(&option, words.next())?,
                _ => return Err(format!("{option}: not an option")),
            }
        }
        Ok(search)
    }
}

fn listen(mut words: impl Iterator<Item = String>) -> Result<SocketAddr, String> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 50051));
    while let Some(option) = words.next() {
        if option != "--listen" {
            return Err(format!("{option}: not an option"));
        }
        let text = value(&option, words.next())?;
        listen = text
            .parse()
            .map_err(|_| format!("--listen: expected an address such as 127.0.0.1:50051, found {text:?}"))?;
    }
    Ok(listen)
}

fn number(name: &str, word: Option<String>) -> Result<u64, String> {
    let text = value(name, word)?;
    text.parse().map_err(|_| format!("{name}: expected a number, found {text:?}"))
}

fn value(name: &str, word: Option<String>) -> Result<String, String> {
    word.ok_or_else(|| format!("{name}: a value is missing"))
}
