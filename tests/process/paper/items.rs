//! What is said of an item: its name, what a unit costs, what was refunded.

use std::process::Command;

use super::*;

/// A PNG of 8 x 4 pixels, all of one colour.
const LOGO: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00,
    0x00, 0x04, 0x08, 0x02, 0x00, 0x00, 0x00, 0x3c, 0xaf, 0xe9, 0xa7, 0x00, 0x00, 0x00, 0x11, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63,
    0x90, 0xf7, 0xab, 0xc4, 0x8a, 0x18, 0xa8, 0x27, 0x01, 0x00, 0x92, 0xef, 0x1c, 0xc1, 0xc6, 0xa1, 0xf3, 0x41, 0x00, 0x00, 0x00, 0x00,
    0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

async fn call(client: &mut Client, account: &str, request_id: &str, amount: &str, quantity: &str) {
    let usage = v1::Usage {
        item: "voice".into(),
        description: "call-de".into(),
        quantity: quantity.into(),
        unit: "min".into(),
        ..Default::default()
    };
    client.charging.debit(v1::DebitRequest { usage: Some(usage), ..debit(account, request_id, amount) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_its_description_a_name_of_the_list_and_the_price_of_a_unit() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    for account in ["english", "german"] {
        client.open(account, PaymentMode::Postpaid, "1000", "0").await;
        call(&mut client, account, "c-1", "0.45", "5").await;
        call(&mut client, account, "c-2", "0.135", "1.5").await;
    }
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.run(&["account", "details", "german", "--language", "de"]);
        paper.go_to("2026-07-05T12:00:00Z");
        let june = paper.documents("issued", 2);
        for document in &june {
            let line = &paper.operator.json(&format!("invoice show {}", document["number"].as_str().unwrap()))["invoice"]["items"][0];
            let said = ["item", "name", "description", "quantity", "unit", "unitPrice", "amount"]
                .map(|field| line[field].as_str().unwrap_or_default());
            assert_eq!(said, ["voice", "", "call-de", "6.5", "min", "0.09", "0.585"]);
        }
        paper.run(&["item", "set", "voice", "Voice calls"]);
        paper.run(&["item", "set", "voice", "Gespr\u{e4}che", "--language", "de"]);
        paper.run(&["item", "set", "sms", "Messages", "--language", "en"]);
        let refused = paper.operator.run("item set voice Appels --language fr");
        assert!(refused.error.contains("item.language must be empty, or one of en, de"), "{refused:?}");
        let listed = paper.operator.list("item list");
        let listed: Vec<_> =
            listed.iter().map(|name| ["item", "language", "name"].map(|field| name[field].as_str().unwrap_or_default())).collect();
        let expected = [["sms", "en", "Messages"], ["voice", "", "Voice calls"], ["voice", "de", "Gespr\u{e4}che"]];
        assert_eq!(listed, expected);
    });
    for account in ["english", "german"] {
        call(&mut client, account, "c-3", "0.45", "5").await;
        call(&mut client, account, "c-4", "0.10", "1").await;
        client.charging.refund(refund(account, "r-1", "c-4", "0.10")).await.unwrap();
    }
    tokio::task::block_in_place(|| {
        paper.go_to("2026-08-05T12:00:00Z");
        let issued = paper.documents("issued", 4);
        let page = |account: &str, place: usize| {
            let of: Vec<_> = issued.iter().filter(|document| document["accountId"] == account).collect();
            paper.operator.run(&format!("invoice html {} --file -", of[place]["number"].as_str().unwrap())).output
        };
        let [english, german] = [page("english", 1), page("german", 1)];
        assert!(english.contains("Voice calls") && english.contains("Refund: Voice calls") && !english.contains("refunded"), "{english}");
        assert!(german.contains("Gespr\u{e4}che") && german.contains("Erstattung: Gespr\u{e4}che"), "{german}");
        // Two prices are none; and what was issued before the list keeps its words.
        assert!(!english.contains("Unit price"));
        let before = page("english", 0);
        assert!(before.contains("call-de") && before.contains("Unit price") && before.contains("0.09") && !before.contains("Voice calls"));
        paper.run(&["item", "delete", "voice"]);
        assert_eq!(paper.operator.list("item list").len(), 2);
        assert_eq!(page("english", 1), english);
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_says_what_was_refunded() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    call(&mut client, "acme", "c-1", "5", "10").await;
    client.charging.refund(refund("acme", "r-1", "c-1", "2")).await.unwrap();
    tokio::task::block_in_place(|| {
        paper.issuer();
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        paper.go_to("2026-07-05T12:00:00Z");
        let number = paper.documents("issued", 1)[0]["number"].as_str().unwrap().to_owned();
        let page = paper.operator.run(&format!("invoice html {number} --file -")).output;
        let line = "<bdi>Refund: voice</bdi><span class=\"description\"><bdi>call-de</bdi>";
        assert!(page.contains(line), "{page}");
    });
    assert!(paper.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuers_logo_is_checked_kept_with_the_documents_and_printed() {
    let paper = Paper::at("2026-06-10T12:00:00Z");
    let mut client = paper.service.client().await;
    client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
    call(&mut client, "acme", "c-1", "5", "10").await;
    tokio::task::block_in_place(|| {
        let [picture, broken, large] = ["logo.png", "broken.png", "large.png"].map(|name| paper.folder.path().join(name));
        std::fs::write(&picture, LOGO).unwrap();
        std::fs::write(&broken, &LOGO[..LOGO.len() / 2]).unwrap();
        std::fs::write(&large, [LOGO, &vec![0; 256 * 1024]].concat()).unwrap();
        let set = |file: &Path| {
            let file = file.to_str().unwrap();
            paper.operator.run_words(&["issuer", "set", "--name", "Nordlicht", "--country", "DE", "--logo", file])
        };
        for (file, said) in [(&broken, "must be a PNG or JPEG file"), (&large, "must be at most 256 KiB")] {
            let refused = set(file);
            let error = refused.error;
            assert!(!refused.status.success() && error.contains("issuer.logo") && error.contains(said), "{error}");
        }
        let accepted = set(&picture);
        assert!(accepted.status.success(), "{accepted:?}");
        let shown = paper.operator.json("issuer show")["issuers"][0]["issuer"]["logo"].clone();
        assert_eq!((&shown["mediaType"], &shown["width"], &shown["height"]), (&"image/png".into(), &8.into(), &4.into()));
        paper.run(&["tax", "set", "19", "--from", "2020-01-01"]);
        let has_logo = |words: &[&str]| {
            let page = paper.operator.run_words(&[words, &["--form", "html", "--file", "-"]].concat());
            assert!(page.output.contains("src=\"data:image/png;base64,iVBORw0KGgo"), "{words:?}: {page:?}");
            let pdf = paper.folder.path().join("paper.pdf");
            paper.run(&[words, &["--form", "pdf", "--file", pdf.to_str().unwrap()]].concat());
            assert!(std::fs::read(pdf).unwrap().starts_with(b"%PDF"));
        };
        paper.run(&["payment", "record", "acme", "1", "--request-id", "p-1"]);
        for words in [&["invoice", "preview", "acme"][..], &["payment", "receipt", "acme", "p-1"], &["account", "statement", "acme"]] {
            has_logo(words);
        }
        paper.run(&["issuing", "set", "--on-approval"]);
        paper.go_to("2026-07-05T12:00:00Z");
        let draft = paper.documents("draft", 1)[0]["documentId"].as_str().unwrap().to_owned();
        let page = paper.operator.run(&format!("invoice html --id {draft} --file -")).output;
        assert!(page.contains("src=\"data:image/png;base64,iVBORw0KGgo"), "{page}");
        paper.run(&["invoice", "pdf", "--id", &draft, "--file", paper.folder.path().join("draft.pdf").to_str().unwrap()]);
        paper.run(&["invoice", "approve", &draft]);
        let number = paper.documents("issued", 1)[0]["number"].as_str().unwrap().to_owned();
        // A later one without a logo does not change what was issued.
        paper.issuer();
        let page = paper.operator.run(&format!("invoice html {number} --file -")).output;
        assert!(
            page.contains("<img class=\"logo\" src=\"data:image/png;base64,iVBORw0KGgo") && page.contains("alt=\"Nordlicht\""),
            "{page}"
        );
        let pdf = paper.folder.path().join("invoice.pdf");
        paper.run(&["invoice", "pdf", &number, "--file", pdf.to_str().unwrap()]);
        let images = Command::new("pdfimages").arg("-list").arg(&pdf).output().unwrap().stdout;
        let images = String::from_utf8(images).unwrap();
        assert!(images.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().get(2..5) == Some(&["image", "8", "4"])), "{images}");
    });
    assert!(paper.service.stopped().await.success());
}
