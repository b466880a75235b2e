//! Names in scripts that the fonts built in do not have.

use std::process::Command;

use super::*;

const NAMES: [(&str, &str); 7] = [
    ("zh", "北京电信有限公司"),
    ("ja", "東京タワー株式会社"),
    ("ko", "한국통신 주식회사"),
    ("th", "บริษัท โทรคมนาคมแห่งชาติ จำกัด"),
    ("el", "Ελληνικές Τηλεπικοινωνίες"),
    ("ar", "شركة الاتصالات"),
    ("crab", "Crab \u{1f980} Ltd"),
];

/// Issues an invoice for each name, and returns their PDFs and what is read in them.
async fn invoices(paper: &Paper) -> Vec<(&'static str, usize, String)> {
    let mut client = paper.service.client().await;
    for (account, _) in NAMES {
        client.open(account, PaymentMode::Postpaid, "100", "0").await;
        charge(&mut client, account, "c-1", "10", v1::ChargeCategory::Usage).await;
    }
    tokio::task::block_in_place(|| {
        for (account, name) in NAMES {
            paper.run(&["account", "details", account, "--name", name]);
        }
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.go_to("2026-07-05T12:00:00Z");
        let issued = paper.documents("issued", NAMES.len());
        let read = |account: &'static str| {
            let document = issued.iter().find(|document| document["accountId"] == account).unwrap();
            let file = paper.folder.path().join(format!("{account}.pdf"));
            paper.run(&["invoice", "pdf", document["number"].as_str().unwrap(), "--file", file.to_str().unwrap()]);
            let text = Command::new("pdftotext").arg(&file).arg("-").output().unwrap().stdout;
            (account, std::fs::metadata(&file).unwrap().len().try_into().unwrap(), String::from_utf8(text).unwrap())
        };
        NAMES.map(|(account, _)| read(account)).to_vec()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_any_script_are_printed_with_the_fonts_of_the_machine_and_the_pdfs_stay_small() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    for ((account, bytes, text), (_, name)) in invoices(&paper).await.into_iter().zip(NAMES) {
        let printed = match account {
            "crab" => "Crab (U+1F980) Ltd",
            // A right-to-left name is read in its own order.
            _ => name,
        };
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        let is_read = squeezed(&text).contains(&squeezed(printed)) || account == "ar";
        assert!(is_read && !text.contains('\u{fffd}'), "{account}: {text}");
        assert!(bytes < 80_000, "{account}: {bytes} bytes");
    }
    assert!(paper.service.log().iter().any(|line| line.contains("no font has these letters") && line.contains("U+1F980")));
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_fonts_the_start_says_what_is_missing_and_documents_print_codes() {
    let fonts = temporary_folder();
    let paper = Paper::with(&["--fonts", fonts.path().to_str().unwrap()], "2026-06-10T12:00:00Z");
    assert!(paper.service.log().iter().any(|line| line.contains("Chinese, Japanese, Korean, Thai") && line.contains("--fonts")));
    let invoices = invoices(&paper).await;
    let of = |account: &str| invoices.iter().find(|(other, ..)| *other == account).unwrap().2.as_str();
    assert!(of("ko").contains("(U+D55C)(U+AD6D)"), "{}", of("ko"));
    assert!(of("el").contains("Ελληνικές Τηλεπικοινωνίες"));
    assert!(paper.service.stopped().await.success());
}

#[test]
fn a_folder_of_fonts_that_is_not_there_is_refused() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let missing = folder.path().join("fonts");
    let mut start = Command::new(binary());
    let ended = start.env_clear().arg("serve").arg("--store").arg(&store).arg("--fonts").arg(&missing).output().unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(2) && error.contains("--fonts") && error.contains("is no folder"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_says_which_of_its_characters_no_font_has() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("crab", PaymentMode::Postpaid, "100", "0").await;
    let usage = Some(v1::Usage { item: "x".into(), description: "\u{1f9e0} calls".into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit("crab", "c-1", "10") }).await.unwrap();
    tokio::task::block_in_place(|| {
        paper.run(&["account", "details", "crab", "--name", "Crab \u{1f980} Ltd"]);
        let preview = paper.preview("crab");
        assert_eq!(preview["invoice"]["missingGlyphs"], serde_json::json!(["U+1F980", "U+1F9E0"]), "{preview:#}");
        paper.issuer();
        paper.run(&["issuing", "set", "--on-approval"]);
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.go_to("2026-07-05T12:00:00Z");
        let id = paper.documents("draft", 1)[0]["documentId"].as_str().unwrap().to_owned();
        let shown = paper.operator.run(&format!("invoice show --id {id}")).output;
        assert!(shown.contains("no font has these characters, so the PDF prints their codes: U+1F980 U+1F9E0"), "{shown}");
        paper.run(&["invoice", "approve", &id]);
        let issued = paper.documents("issued", 1)[0]["number"].as_str().unwrap().to_owned();
        assert!(paper.operator.json(&format!("invoice show {issued}"))["invoice"].get("missingGlyphs").is_none());
    });
    assert!(paper.service.stopped().await.success());
}
