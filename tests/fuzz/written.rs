//! What people and banks write: statements, files that say who may call, and addresses of stores and mail servers.

use std::collections::HashSet;

use platform::redis_place::RedisPlace;
use tollgate::access::file::AccessFile;
use tollgate::config::{BillingUrl, RedisUrl, SmtpUrl};
use tollgate::domain::money::Units;
use tollgate::service::bank;

/// The password in the corpus of addresses.
const PASSWORD: &str = "k7Zp9w";

/// A statement in CSV or camt.053: what came in is above zero, and told apart.
pub fn bank_statements(bytes: &[u8]) -> bool {
    let Ok(statement) = bank::read(&bank::text_of(bytes)) else { return false };
    assert!(statement.lines.len() <= bank::MOST_LINES);
    assert!(statement.lines.iter().all(|line| line.amount.to_units(6).is_ok_and(|units| units > Units::ZERO)));
    let digests: HashSet<_> = statement.lines.iter().map(|line| &line.digest).collect();
    assert_eq!(digests.len(), statement.lines.len());
    !statement.lines.is_empty()
}

/// An access file: what is understood is understood in the same way after it was written and read again.
pub fn access_files(bytes: &[u8]) -> bool {
    let Some(file) = std::str::from_utf8(bytes).ok().and_then(|text| AccessFile::parse(text).ok()) else { return false };
    let Ok(known) = file.understand() else { return false };
    let again = AccessFile::parse(&file.to_text().unwrap()).unwrap();
    assert_eq!(again, file);
    assert_eq!(again.understand().unwrap().keys.len(), known.keys.len());
    true
}

/// An address: it is taken or refused, and shown without its password.
pub fn addresses(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let shown = [
        text.parse::<RedisUrl>().unwrap().to_string(),
        text.parse::<BillingUrl>().unwrap().to_string(),
        text.parse::<SmtpUrl>().unwrap().to_string(),
    ];
    let place = RedisPlace::parse(text);
    let of_redis = place.as_ref().map_or_else(String::new, ToString::to_string);
    if keeps_password_to_itself(text) {
        assert!(!shown.iter().chain([&of_redis]).any(|shown| shown.contains(PASSWORD)), "{text:?}: {shown:?}, {of_redis}");
    }
    place.is_some()
}

/// Whether the password stands where one belongs, before the host, and nowhere else, by any reading. SQLite has none, and a socket has no host.
fn keeps_password_to_itself(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let Some((login, public)) = rest.rsplit_once('@') else { return false };
    // URL parsers strip tabs and line breaks, and decode percent-encoding.
    let is_plain = !login.contains(['/', '\\', '?', '#']) && !rest.contains(['\t', '\r', '\n', '%']);
    is_plain && scheme != "sqlite" && scheme != "redis+unix" && login.contains(PASSWORD) && !public.contains(PASSWORD)
}

/// Inputs that are right.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "bank_statements" => vec![
            include_bytes!("../bank/statement.csv").to_vec(),
            include_bytes!("../bank/statement.camt053.xml").to_vec(),
            b"Date,Amount,Currency,Reference\n2026-11-03,119.00,EUR,INV-000002\n".to_vec(),
        ],
        "access_files" => [ROLES, CALLERS].map(|text| text.as_bytes().to_vec()).to_vec(),
        _ => ADDRESSES.map(|text| text.replace("PASSWORD", PASSWORD).into_bytes()).to_vec(),
    }
}

const ROLES: &str = r#"revoked = ["aaaaaaaa"]
[roles.night-shift]
permissions = ["read_credit", "read_accounts", "top_up"]
[[certificates]]
name = "spiffe://example.org/switch-1"
roles = ["charge", "night-shift"]
"#;

const CALLERS: &str = r#"[[keys]]
name = "switch-1"
id = "Zk3v9QxY"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
roles = ["charge"]
accounts = ["partner-7/", "acme"]
expires = "2027-12-31T00:00:00Z"
most.refund = { EUR = "100" }
requests_per_second = 500
[[issuers]]
issuer = "https://id.example.org"
audience = "tollgate"
jwks = "jwks.json"
claim = "roles"
grants.support = { roles = ["operate"], acts_for_others = false }
"#;

const ADDRESSES: [&str; 8] = [
    "redis://default:PASSWORD@127.0.0.1:6379/0",
    "rediss://tollgate:PASSWORD@a.example,b.example:6380",
    "redis+unix:///run/redis/redis.sock?pass=PASSWORD",
    "redis+sentinel://:PASSWORD@s1.example:26379,[::1]/primary/0?sentinel-user=s&sentinel-password=PASSWORD",
    "postgres://tollgate:PASSWORD@db.example:5432/billing?sslmode=require",
    "sqlite:///var/lib/tollgate/billing.db",
    "smtp://billing%40nordlicht.example:PASSWORD@mail.example:587?tls=required",
    "smtps://mail.example",
];
