//! Where a TSM node's database is, with its login, as the drivers of `PostgreSQL` take it.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reading::DatabaseLogin;
use zeroize::Zeroizing;

use super::layout::Roots;

/// What stands for itself in any part of a URL (RFC 3986, section 2.3).
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same with what a query may have besides (section 3.4): a path stays readable.
const QUERY: &AsciiSet = &PART.remove(b'/');

/// `postgres://<user>:<password>@<host>:<port>/<database>`, at a host whose certificate is verified against
/// these roots, its name included. No driver's default is relied upon: `PostgreSQL`'s own would do without TLS
/// where the server has none ("SSL Support", "Protection Provided in Different Modes").
pub(super) fn data_source(login: &DatabaseLogin, roots: &Roots) -> Zeroizing<String> {
    let number = login.port.to_string();
    let as_is = |text| utf8_percent_encode(text, CONTROLS);
    let part = |text| utf8_percent_encode(text, PART);
    // EXPOSE: to the command's environment, as the variable that `Database.DataSourceName` refers to.
    let password = login.expose_password();
    let pieces: [PercentEncode<'_>; 11] = [
        as_is("postgres://"),
        part(&login.user),
        as_is(":"),
        part(password),
        as_is("@"),
        part(&login.host),
        as_is(":"),
        part(&number),
        as_is("/"),
        part(&login.database),
        as_is("?sslmode=verify-full&sslrootcert="),
    ];
    let pieces = || pieces.iter().cloned().chain([utf8_percent_encode(roots.as_str(), QUERY)]).flatten();
    // At once: what grows leaves copies behind.
    let mut url = Zeroizing::new(String::with_capacity(pieces().map(str::len).sum()));
    url.extend(pieces());
    url
}
