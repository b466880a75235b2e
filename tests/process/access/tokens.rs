//! Tokens as an identity provider signs them: made by OpenSSL, in each of the three algorithms, and taken by the running binary.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::callers::House;
use crate::audit::records;
use crate::http::url_of;
use crate::service::until;
use crate::temporary_folder;

/// What is run, and how a key of it is made.
const ALGORITHMS: [(&str, &[&str]); 3] = [
    ("RS256", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("ES256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("EdDSA", &["-algorithm", "ED25519"]),
];

fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Makes a key, and returns the public part of it as a JWK.
pub fn made(folder: &Path, algorithm: &str, options: &[&str]) -> Value {
    openssl(folder, &[&["genpkey", "-out", algorithm], options].concat());
    let public = openssl(folder, &["pkey", "-in", algorithm, "-pubout", "-outform", "DER"]);
    let last = |count: usize| &public[public.len() - count..];
    let mut key = match algorithm {
        // Behind the modulus, with its sign, is the exponent of 65,537.
        "RS256" => json!({ "kty": "RSA", "n": base64(&last(261)[..256]), "e": "AQAB" }),
        "ES256" => json!({ "kty": "EC", "crv": "P-256", "x": base64(&last(64)[..32]), "y": base64(last(32)) }),
        _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(last(32)) }),
    };
    key["kid"] = algorithm.into();
    key
}

/// Signs a token with the key of an algorithm.
pub fn signed(folder: &Path, algorithm: &str, header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    std::fs::write(folder.join("text"), &text).unwrap();
    let signature = match algorithm {
        "EdDSA" => openssl(folder, &["pkeyutl", "-sign", "-rawin", "-inkey", algorithm, "-in", "text"]),
        _ => openssl(folder, &["dgst", "-sha256", "-sign", algorithm, "text"]),
    };
    let signature = if algorithm == "ES256" { halves(&signature) } else { signature };
    format!("{text}.{}", base64(signature))
}

/// The two numbers of a signature, as JWS has them, of what OpenSSL writes: a sequence of two integers.
fn halves(der: &[u8]) -> Vec<u8> {
    let (mut both, mut rest) = (Vec::new(), &der[2..]);
    for _ in 0..2 {
        let (number, behind) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(32)..];
        both.extend(vec![0; 32 - number.len()]);
        both.extend(number);
        rest = behind;
    }
    both
}

/// An address of this machine for each that is refused.
fn address(place: usize) -> String {
    format!("127.0.0.{}", 10 + place)
}

/// What is answered to a token that is presented from an address of this machine.
fn presented(house: &House, token: &str, address: &str) -> String {
    let (url, authorization) = (format!("{}/v1/account/list-accounts", url_of(&house.service)), format!("authorization: Bearer {token}"));
    let words =
        ["-s", "-i", "-m", "30", "--interface", address, "-H", "content-type: application/json", "-d", "{}", "-H", &authorization, &url];
    let output = Command::new("curl").args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_each_algorithm_are_taken_and_what_is_wrong_with_one_is_told_to_nobody() {
    let folder = temporary_folder();
    let folder = folder.path();
    let keys: Vec<Value> = ALGORITHMS.iter().map(|(algorithm, options)| made(folder, algorithm, options)).collect();
    std::fs::write(folder.join("jwks.json"), json!({ "keys": keys }).to_string()).unwrap();
    let (mut house, made) = House::start(&[("root", "admin", &[])]).await;
    let entry = format!(
        "issuer = 'https://id.example'\naudience = 'tollgate'\njwks = '{}/jwks.json'\ngrants.desk = {{ roles = ['read'] }}",
        folder.display()
    );
    house.change(|file| file.issuers.push(toml::from_str(&entry).unwrap()));

    let now = jiff::Timestamp::now().as_second();
    let claims = |more: &Value| {
        let mut claims =
            json!({ "sub": "alice", "iss": "https://id.example", "aud": "tollgate", "exp": now + 300, "nbf": now - 5, "roles": ["desk"] });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let token = |algorithm: &str, more: Value| signed(folder, algorithm, &json!({ "alg": algorithm, "kid": algorithm }), &claims(&more));
    let list = json!({});
    for (algorithm, _) in ALGORITHMS {
        let token = token(algorithm, json!({}));
        until(&format!("a token of {algorithm} is taken"), async || {
            house.call(Some(&token), "AccountService/ListAccounts", &list).await.ok()
        })
        .await;
        assert_eq!(house.post(Some(&token), "account/list-accounts", &list).0, 200, "{algorithm}");
    }

    let good = token("RS256", json!({}));
    let [head, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let by_a_stranger = {
        let stranger = temporary_folder();
        self::made(stranger.path(), "RS256", ALGORITHMS[0].1);
        signed(stranger.path(), "RS256", &json!({ "alg": "RS256", "kid": "RS256" }), &claims(&json!({})))
    };
    let with_header = |header: Value| signed(folder, "RS256", &header, &claims(&json!({})));
    let wrong = [
        ("another audience", token("RS256", json!({ "aud": "billing" }))),
        ("no audience", token("RS256", json!({ "aud": null }))),
        ("another issuer", token("ES256", json!({ "iss": "https://evil.example" }))),
        ("expired", token("EdDSA", json!({ "exp": now - 60 }))),
        ("not yet", token("EdDSA", json!({ "nbf": now + 60 }))),
        ("no end", token("ES256", json!({ "exp": null }))),
        ("none", format!("{}.{body}.", base64(r#"{"alg":"none"}"#))),
        ("none with a signature", format!("{}.{body}.{signature}", base64(r#"{"alg":"none","kid":"RS256"}"#))),
        ("another signature", format!("{head}.{body}.{}", base64([7; 256]))),
        ("another body", format!("{head}.{}.{signature}", base64(claims(&json!({ "sub": "root" })).to_string()))),
        ("truncated", good[..good.len() - 9].to_owned()),
        ("doubled", format!("{good}{good}")),
        ("a stranger's key", by_a_stranger),
        ("another algorithm than the key's", with_header(json!({ "alg": "RS256", "kid": "ES256" }))),
        ("a key that is not there", with_header(json!({ "alg": "RS256", "kid": "other" }))),
        ("no key of several", with_header(json!({ "alg": "RS256" }))),
        ("an extension that is not understood", with_header(json!({ "alg": "RS256", "kid": "RS256", "crit": ["b64"], "b64": false }))),
        ("a key of its own", with_header(json!({ "alg": "RS256", "kid": "mine", "jwk": keys[0] }))),
    ];
    for (place, (what, wrong)) in wrong.iter().enumerate() {
        // Each from an address of its own: the refusals of one come later and later.
        let answer = presented(&house, wrong, &address(place));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 401") && head.contains("www-authenticate: bearer"), "{what}: {answer}");
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&problem["reason"], &problem["detail"]),
            (&json!("CREDENTIALS_INVALID"), &json!("the credentials are not valid")),
            "{what}"
        );
    }
    // Each is on record, by its address.
    let addresses: BTreeSet<String> = (0..wrong.len()).map(address).collect();
    until("the refusals are on record", async || {
        let found = records(&house, &made[0], json!({ "action": "call.refused" })).await;
        let found: BTreeSet<_> = found.iter().filter_map(|record| record["address"].as_str().map(ToOwned::to_owned)).collect();
        addresses.is_subset(&found).then_some(())
    })
    .await;
    assert!(house.service.log().iter().all(|line| !line.contains(signature)), "the log has a token");
}
