//! Where a server is, as one writes it down.

use std::str::FromStr;

/// `redis://[[USER]:PASSWORD@]HOST[:PORT][/0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Its host and port.
    pub address: String,
    /// What to say first.
    pub password: Option<String>,
}

/// It is no such thing. Write one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected redis://[:PASSWORD@]HOST[:PORT]")]
pub struct UrlError;

/// Where Redis listens.
const PORT: u16 = 6379;

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let rest = text.strip_prefix("redis://").ok_or(UrlError)?;
        let rest = rest.strip_suffix("/0").or(rest.strip_suffix('/')).unwrap_or(rest);
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let password = match user {
            Some(user) => Some(user.split_once(':').ok_or(UrlError)?.1.to_string()),
            None => None,
        };
        if host.is_empty() || host.contains('/') {
            return Err(UrlError);
        }
        // The port comes behind the last colon, unless that is one within an address of version 6.
        let port = host.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let address = match port {
            Some((_, port)) => {
                port.parse::<u16>().map_err(|_| UrlError)?;
                host.to_string()
            }
            None => format!("{host}:{PORT}"),
        };
        Ok(Url { address, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let url = |address: &str, password: Option<&str>| {
            Ok(Url { address: address.into(), password: password.map(String::from) })
        };
        let cases = [
            ("redis://127.0.0.1:7000", url("127.0.0.1:7000", None)),
            ("redis://host", url("host:6379", None)),
            ("redis://host/0", url("host:6379", None)),
            ("redis://:se@cret@host:1", url("host:1", Some("se@cret"))),
            ("redis://me:secret@[::1]:1/", url("[::1]:1", Some("secret"))),
            ("redis://[::1]", url("[::1]:6379", None)),
            ("host:1", Err(UrlError)),
            ("redis://", Err(UrlError)),
            ("redis://host:x", Err(UrlError)),
            ("redis://secret@host", Err(UrlError)),
            ("redis://host/7", Err(UrlError)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Url>(), expected, "{text}");
        }
    }
}
