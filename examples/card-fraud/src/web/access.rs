//! Access to the page: the client must know the secret address, and must use a host name that names this machine.
//!
//! Any site that is open in the same browser can send requests to this machine. It does not know the token, so it
//! gets nowhere; and the further checks stand where a token has leaked.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Method, header};
use subtle::ConstantTimeEq;

/// Bytes of a token: as hard to guess as an AES-128 key.
const TOKEN_BYTES: usize = 16;

/// The secret part of the page's address.
pub struct Token(String);

impl Token {
    /// Draws one from a generator that the operating system seeds.
    pub fn generate() -> Self {
        let bytes: [u8; TOKEN_BYTES] = rand::random();
        Self(crate::journal::first_bytes(&bytes))
    }

    /// Whether a text is the token. The time depends on the text's length alone.
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// The token itself, for the address that is printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The token gives full access to the page, so `Debug` does not print it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(<redacted>)")
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another token or none.
    #[error("This address is not complete. Use the one that `card-fraud web` has printed.")]
    Token,
    /// Asked for under a name that somebody else may point at this machine.
    #[error(
        "This page is served under the address that `card-fraud web` has printed, and under no other name."
    )]
    Host,
    /// Sent by another page.
    #[error("This request comes from another page.")]
    Origin,
}

/// Checks a request against the token and the port that the page is served at.
///
/// # Errors
/// [`Refusal`]. The token is looked at last, so that a page under a wrong name cannot try any.
pub fn check(
    (token, port): (&Token, u16),
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).ok_or(Refusal::Host)?;
    if headers.get_all(header::HOST).iter().count() != 1 || !is_own_host(host, port) {
        return Err(Refusal::Host);
    }
    if headers.contains_key(header::ORIGIN) && text(header::ORIGIN) != Some(&format!("http://{host}")) {
        return Err(Refusal::Origin);
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if method == Method::POST && !matches!(site, None | Some(b"same-origin" | b"none")) {
        return Err(Refusal::Origin);
    }
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
    if token.matches(first.unwrap_or_default()) { Ok(()) } else { Err(Refusal::Token) }
}

/// Whether a Host header names this machine by number or as `localhost`, with our port. Other names are in the hands of
/// whoever owns them: a site can point its own name at 127.0.0.1 and would then count as the same origin (DNS
/// rebinding).
fn is_own_host(host: &str, port: u16) -> bool {
    let (name, given) = match host.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, given)) if !given.ends_with(']') => (name, given.parse().ok()),
        _ => (host, Some(80)),
    };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_number = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => matches!(name.parse::<IpAddr>(), Ok(IpAddr::V4(_))),
    };
    given == Some(port) && (is_number || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_random_and_not_printed() {
        let (one, other) = (Token::generate(), Token::generate());
        assert_eq!(one.reveal().len(), 2 * TOKEN_BYTES);
        assert!(one.reveal().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one.reveal(), other.reveal());
        assert!(one.matches(one.reveal()) && !one.matches(other.reveal()));
        let text = one.reveal().to_owned();
        for wrong in
            ["", &text[1..], &format!("{text}0"), &text.to_uppercase().replace(char::is_numeric, "A")]
        {
            assert!(!one.matches(wrong), "{wrong}");
        }
        assert!(!format!("{one:?}").contains(&text));
    }

    #[test]
    fn names_that_others_own_are_not_ours() {
        for host in ["127.0.0.1:7701", "localhost:7701", "LOCALHOST:7701", "[::1]:7701", "192.168.1.5:7701"] {
            assert!(is_own_host(host, 7_701), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:7702",
            "127.0.0.1:",
            "127.0.0.1:7701:7701",
            "attacker.example:7701",
            "127.0.0.1.attacker.example:7701",
            "localhost.attacker.example:7701",
            "[::1]",
            "::1:7701",
            "[127.0.0.1]:7701",
            "user@127.0.0.1:7701",
        ] {
            assert!(!is_own_host(host, 7_701), "{host}");
        }
        assert!(is_own_host("127.0.0.1", 80) && is_own_host("[::1]", 80));
    }

    #[test]
    fn requests_need_the_token_our_name_and_our_page() {
        let token = Token::generate();
        let path = format!("/{}/api/key", token.reveal());
        let ask = |method: Method, path: &str, headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            check((&token, 7_701), &method, path, &map)
        };
        let host = ("host", "127.0.0.1:7701");
        let (own, foreign) = (("origin", "http://127.0.0.1:7701"), ("origin", "http://attacker.example"));
        assert_eq!(ask(Method::POST, &path, &[host]), Ok(()));
        assert_eq!(ask(Method::POST, &path, &[host, own, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(ask(Method::GET, &path, &[host, ("sec-fetch-site", "cross-site")]), Ok(()));
        assert_eq!(ask(Method::POST, &path, &[host, foreign]), Err(Refusal::Origin));
        assert_eq!(ask(Method::GET, &path, &[host, ("origin", "null")]), Err(Refusal::Origin));
        assert_eq!(
            ask(Method::POST, &path, &[host, ("origin", "https://127.0.0.1:7701")]),
            Err(Refusal::Origin)
        );
        for site in ["cross-site", "same-site", ""] {
            assert_eq!(ask(Method::POST, &path, &[host, ("sec-fetch-site", site)]), Err(Refusal::Origin));
        }
        assert_eq!(ask(Method::GET, &path, &[]), Err(Refusal::Host));
        assert_eq!(ask(Method::GET, &path, &[host, host]), Err(Refusal::Host));
        assert_eq!(ask(Method::GET, &path, &[("host", "attacker.example:7701")]), Err(Refusal::Host));
        for path in ["", "/", "/api/key", "/0/api/key", &path[1..], &format!("/x{path}")] {
            assert_eq!(ask(Method::GET, path, &[host]), Err(Refusal::Token), "{path}");
        }
    }
}
