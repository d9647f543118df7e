//! Names and addresses of banks.

/// Returns why a bank cannot have this name. `certified` says whether an authority certifies the name.
pub(crate) fn name_problem(name: &str, certified: bool) -> Option<&'static str> {
    if name.is_empty() || name.len() > 63 || name.chars().any(char::is_control) {
        return Some("a name has 1 to 63 characters, none of them a control character");
    }
    // It becomes a part of file names.
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Some("a name has no slash and does not begin with a dot");
    }
    if certified && rustls::pki_types::DnsName::try_from(name).is_err() {
        return Some(
            "with an authority, a name is one that a host could have: letters, digits, dashes inside, and dots",
        );
    }
    None
}

/// The form in which the names in certificates are compared.
pub(crate) fn same_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Returns why a text is not an address.
pub(crate) fn address_problem(address: &str) -> Option<String> {
    let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    match port {
        Some((host, Ok(_))) if !host.is_empty() => None,
        _ => Some(format!("{address:?} is not of the form host:port")),
    }
}
