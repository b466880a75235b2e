//! Who is let in by what, and who is not.

use std::fs;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::*;
use crate::key::NewKey;
use crate::permission::Permission;

struct House {
    folder: tempfile::TempDir,
    key: NewKey,
    signing: EncodingKey,
    stranger: EncodingKey,
}

fn signing_key() -> EncodingKey {
    EncodingKey::from_ec_pem(rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap()
}

impl House {
    fn new() -> Self {
        let (folder, key, signing) = (tempfile::tempdir().unwrap(), NewKey::generate().unwrap(), signing_key());
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("one".into());
        fs::write(folder.path().join("jwks.json"), serde_json::to_vec(&json!({ "keys": [jwk] })).unwrap()).unwrap();
        let house = Self { folder, key, signing, stranger: signing_key() };
        house.write(&house.entries(""));
        house
    }

    fn entries(&self, of_key: &str) -> String {
        format!(
            "[[keys]]\nname = 'switch'\nid = '{}'\ndigest = '{}'\nroles = ['charge']\n{of_key}\n\
             [[certificates]]\nname = 'spiffe://example/switch-1'\nroles = ['charge']\n\
             [[issuers]]\nissuer = 'https://id.example'\naudience = 'tollgate'\njwks = 'jwks.json'\nalgorithms = ['ES256']\n\
             grants.desk = {{ roles = ['operate'] }}\n",
            self.key.id,
            self.key.digest()
        )
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("access.toml")
    }

    fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn token(&self, key: &EncodingKey, kid: Option<&str>, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let now = system_now().get() / 1000;
        let mut claims =
            json!({ "sub": "alice", "iss": "https://id.example", "aud": "tollgate", "exp": now + 300, "roles": ["desk", "cafeteria"] });
        change(&mut claims);
        let header = Header { kid: kid.map(ToOwned::to_owned), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, key).unwrap()
    }
}

fn ask(access: &Access, authorization: &[&str]) -> Result<Arc<Principal>, Denied> {
    access.authenticate(&Presented { authorization, certificate: None, address: [127, 0, 0, 1].into() })
}

fn bearer(access: &Access, token: &str) -> Result<Arc<Principal>, Denied> {
    ask(access, &[&format!("Bearer {token}")])
}

#[test]
fn a_key_lets_its_holder_in_until_it_ends() {
    let house = House::new();
    let access = Access::of_file(&house.path()).unwrap();
    let switch = bearer(&access, &house.key.text).unwrap();
    assert_eq!((switch.name.as_str(), switch.may(Permission::Charge), switch.may(Permission::TopUp)), ("switch", true, false));
    assert!(ask(&access, &[&format!("bearer {}", house.key.text)]).is_ok(), "schemes have no case");

    let other = NewKey::generate().unwrap().text;
    let swapped = format!("{}{}", &house.key.text[..12], &other[12..]);
    assert_eq!(bearer(&access, &other), Err(Denied::UnknownKey));
    assert_eq!(bearer(&access, &swapped), Err(Denied::UnknownKey), "another's secret");
    assert_eq!(bearer(&access, &house.key.text[..54]), Err(Denied::Malformed));
    assert_eq!(bearer(&access, &"x".repeat(9_000)), Err(Denied::Malformed));
    assert_eq!(ask(&access, &[&format!("Basic {}", house.key.text)]), Err(Denied::Malformed));
    assert_eq!(ask(&access, &["Bearer é"]), Err(Denied::Malformed));
    let twice = format!("Bearer {}", house.key.text);
    assert_eq!(ask(&access, &[&twice, &twice]), Err(Denied::SeveralPresented));
    assert_eq!(ask(&access, &[]), Err(Denied::NothingPresented));

    for end in ["expires = 2020-01-01T00:00:00Z", "revoked = 2026-01-01T00:00:00Z"] {
        house.write(&house.entries(&end.replace("= ", "= '").replace('Z', "Z'")));
        assert!(access.follow().unwrap());
        assert_eq!(bearer(&access, &house.key.text), Err(Denied::EndedKey), "{end}");
    }
}

#[test]
fn a_certificate_is_known_by_its_name_and_only_one_credential_is_taken() {
    let house = House::new();
    let access = Access::of_file(&house.path()).unwrap();
    let until = |year: i32, uri: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
        let signed = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        Certificate::parse(signed.der()).unwrap()
    };
    let (known, unknown) = (until(4000, "spiffe://example/switch-1"), until(4000, "spiffe://example/switch-2"));
    let present = |certificate: &Certificate, authorization: &[&str]| {
        access.authenticate(&Presented { authorization, certificate: Some(certificate), address: [127, 0, 0, 1].into() })
    };
    assert_eq!(present(&known, &[]).unwrap().name, "spiffe://example/switch-1");
    assert_eq!(present(&unknown, &[]), Err(Denied::UnknownCertificate));
    let expired = until(2020, "spiffe://example/switch-1");
    assert_eq!(present(&expired, &[]), Err(Denied::EndedCertificate), "a connection may outlive it");
    let header = format!("Bearer {}", house.key.text);
    assert_eq!(present(&known, &[&header]), Err(Denied::SeveralPresented));
    assert_eq!(present(&unknown, &[&header]).unwrap().name, "switch", "it secures the connection");
}

#[test]
fn a_token_of_the_provider_lets_its_subject_do_what_its_claim_grants() {
    let house = House::new();
    let access = Access::of_file(&house.path()).unwrap();
    let of = |change: fn(&mut serde_json::Value)| bearer(&access, &house.token(&house.signing, Some("one"), change));
    let alice = of(|_| {}).unwrap();
    assert_eq!((alice.name.as_str(), alice.may(Permission::Suspend), alice.may(Permission::Backup)), ("alice", true, false));
    let token = house.token(&house.signing, None, |_| {});
    assert!(Arc::ptr_eq(&bearer(&access, &token).unwrap(), &bearer(&access, &token).unwrap()), "known again");
    assert!(!of(|claims| claims["roles"] = json!(["cafeteria"])).unwrap().may(Permission::ReadCredit), "known, and may do nothing");

    for (wrong, why) in [
        (of(|claims| claims["exp"] = json!(1_600_000_000)), "it has expired"),
        (of(|claims| claims["nbf"] = json!(9_000_000_000_i64)), "it does not hold yet"),
        (of(|claims| claims["aud"] = json!("billing")), "it is for another audience"),
        (of(|claims| claims["sub"] = json!("alice\u{0}")), "its subject is no name"),
        (of(|claims| claims["sub"] = json!("a".repeat(129))), "its subject is no name"),
        (of(|claims| claims["iss"] = json!("https://evil.example")), "its issuer is not known"),
        (bearer(&access, &house.token(&house.stranger, Some("one"), |_| {})), "its signature is wrong"),
        (bearer(&access, &house.token(&house.signing, Some("two"), |_| {})), "its key is not known"),
    ] {
        assert_eq!(wrong, Err(Denied::InvalidToken(why)));
    }
    // {"alg":"none"}, and a signature with the public key as if it were a secret.
    let body = token.split('.').nth(1).unwrap();
    assert_eq!(bearer(&access, &format!("eyJhbGciOiJub25lIn0.{body}.")), Err(Denied::Malformed));
    let secret = EncodingKey::from_secret(&fs::read(house.folder.path().join("jwks.json")).unwrap());
    let confused = encode(&Header::new(Algorithm::HS256), &json!({ "iss": "https://id.example" }), &secret).unwrap();
    assert_eq!(bearer(&access, &confused), Err(Denied::InvalidToken("its algorithm is not taken")));
    // An extension that must be understood, and is not.
    let header = Header { kid: Some("one".into()), crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::ES256) };
    let claims = jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(&token).unwrap().claims;
    let extended = encode(&header, &claims, &house.signing).unwrap();
    assert_eq!(bearer(&access, &extended), Err(Denied::InvalidToken("it has an extension that is not understood")));
    // Of the provider, but with no subject.
    let nameless = house.token(&house.signing, Some("one"), |claims| drop(claims.as_object_mut().unwrap().remove("sub")));
    assert_eq!(bearer(&access, &nameless), Err(Denied::InvalidToken("it is malformed")));
}

#[test]
fn keys_of_a_provider_change_with_their_file() {
    let house = House::new();
    let access = Access::of_file(&house.path()).unwrap();
    let mut jwk = Jwk::from_encoding_key(&house.stranger, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("two".into());
    let new = house.folder.path().join("jwks.new");
    fs::write(&new, serde_json::to_vec(&json!({ "keys": [jwk] })).unwrap()).unwrap();
    fs::rename(new, house.folder.path().join("jwks.json")).unwrap();
    let before = house.token(&house.signing, Some("one"), |_| {});
    assert!(bearer(&access, &before).is_ok());
    assert!(access.follow().unwrap());
    assert!(bearer(&access, &before).is_err(), "its key is gone, and so is what was known of it");
    assert!(bearer(&access, &house.token(&house.stranger, Some("two"), |_| {})).is_ok());
}

#[test]
fn a_file_that_cannot_be_read_or_is_emptied_opens_nothing() {
    let house = House::new();
    let access = Access::of_file(&house.path()).unwrap();
    assert!(!access.is_open());
    house.write("[[keys]]\nname = 'half");
    assert!(access.follow().unwrap_err().to_string().contains("--access-file"));
    assert!(!access.follow().unwrap(), "told once");
    assert!(bearer(&access, &house.key.text).is_ok(), "what was read before stays");
    house.write("");
    assert!(access.follow().unwrap());
    assert_eq!(bearer(&access, &house.key.text), Err(Denied::UnknownKey));
    assert_eq!(ask(&access, &[]), Err(Denied::NothingPresented));
}

#[test]
fn while_a_file_names_nobody_everybody_is_let_in_and_one_that_is_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.toml");
    let missing = format!("{:#}", Access::of_file(&path).err().unwrap());
    assert!(missing.contains("is not there: `tollgate access create-key` makes it"), "{missing}");
    fs::write(&path, "").unwrap();
    let access = Access::of_file(&path).unwrap();
    assert_eq!(ask(&access, &[]).unwrap().name, "local");
    let key = NewKey::generate().unwrap();
    fs::write(&path, format!("[[keys]]\nname = 'k'\nid = '{}'\ndigest = '{}'\nroles = ['admin']\n", key.id, key.digest())).unwrap();
    assert!(access.follow().unwrap());
    assert_eq!(ask(&access, &[]), Err(Denied::NothingPresented));
    assert!(bearer(&access, &key.text).is_ok());
}

#[test]
fn unknown_is_not_nobody_and_who_was_named_meanwhile_stays_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.toml");
    let named = "[[certificates]]\nname = 'spiffe://example/switch-1'\nroles = ['charge']\n";
    fs::write(&path, "").unwrap();
    let access = Access::of_file(&path).unwrap();
    access.await_stored().unwrap();
    assert_eq!(ask(&access, &[]), Err(Denied::NothingPresented));
    assert!(access.is_awaiting_stored() && !access.is_open());
    access.take_stored(0, StoredCallers::nobody()).unwrap();
    assert_eq!(ask(&access, &[]).unwrap().name, "local");

    let access = Access::of_file(&path).unwrap();
    access.await_stored().unwrap();
    for text in [named, "# nobody any more"] {
        fs::write(&path, text).unwrap();
        assert!(access.follow().unwrap());
    }
    access.take_stored(0, StoredCallers::nobody()).unwrap();
    assert_eq!(ask(&access, &[]), Err(Denied::NothingPresented));
}

#[test]
fn an_issuer_whose_algorithms_are_not_named_takes_each_of_the_three() {
    let house = House::new();
    house.write(&house.entries("").replace("algorithms = ['ES256']\n", ""));
    let access = Access::of_file(&house.path()).unwrap();
    assert_eq!(bearer(&access, &house.token(&house.signing, Some("one"), |_| {})).unwrap().name, "alice");
    house.write(&house.entries("").replace("'ES256'", "'RS256'"));
    assert!(access.follow().unwrap());
    let token = house.token(&house.signing, Some("one"), |_| {});
    assert_eq!(bearer(&access, &token), Err(Denied::InvalidToken("its algorithm is not taken")));
}
