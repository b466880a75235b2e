//! `tollgate invoice files`: all documents of a month, in a folder or an archive, also when the command was interrupted.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tollgate::grpc::v1::{self, PaymentMode};

use super::forms::all_is_aggregated;
use crate::command::{Ended, Operator};
use crate::service::{Client, PATIENCE, Service, binary, debit, until};
use crate::support::temporary_folder;

/// A service in October by a clock that stands: an account whose goods are invoiced one by one, and one that is billed at the month's end.
struct Shop {
    folder: tempfile::TempDir,
    service: Service,
    operator: Operator,
}

impl Shop {
    async fn open(goods: usize) -> Self {
        let folder = temporary_folder();
        std::fs::write(folder.path().join("clock"), "2026-10-20T12:00:00Z").unwrap();
        let [store, clock] = ["ledger.db", "clock"].map(|name| folder.path().join(name).display().to_string());
        let service = Service::start(&["--store", &store, "--test-clock", &clock], &[]);
        let operator = Operator::of(&service);
        tokio::task::block_in_place(|| {
            assert!(operator.run("issuer set --name Nordlicht --city Hamburg --country DE").status.success());
            assert!(operator.run("tax set 19 --from 2020-01-01").status.success());
        });
        let mut client = service.client().await;
        let request = v1::CreateAccountRequest {
            account_id: "acme".into(),
            request_id: "create".into(),
            name: "Acme".into(),
            currency_code: "EUR".into(),
            mode: PaymentMode::Postpaid.into(),
            credit_limit: Some(v1::CreditLimitChange { permanent: crate::service::money("100000"), temporary: None }),
            non_usage_billing: v1::NonUsageBilling::OneByOne.into(),
            ..Default::default()
        };
        client.accounts.create_account(request).await.unwrap();
        client.open("beta", PaymentMode::Postpaid, "1000", "0").await;
        client.charging.debit(debit("beta", "call", "2.50")).await.unwrap();
        for number in 0..goods {
            let usage = Some(v1::Usage { item: "router".into(), category: v1::ChargeCategory::Hardware.into(), ..Default::default() });
            client.charging.debit(v1::DebitRequest { usage, ..debit("acme", &format!("g{number}"), "1.19") }).await.unwrap();
        }
        let shop = Self { folder, service, operator };
        shop.has_issued(&client, goods).await;
        shop
    }

    async fn has_issued(&self, client: &Client, count: usize) {
        all_is_aggregated(client).await;
        until("all is issued", async || {
            let request = v1::ListInvoicesRequest { state: v1::InvoiceState::Issued.into(), page_size: 1000, ..Default::default() };
            let found = client.clone().billing.list_invoices(request).await.ok()?.into_inner();
            (found.invoices.len() == count).then_some(())
        })
        .await;
    }

    fn go_to(&self, time: &str) {
        let [next, clock] = ["next", "clock"].map(|name| self.folder.path().join(name));
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, clock).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self, options: &str, to: &Path) -> Ended {
        self.operator.run(&format!("invoice files {options} --to {}", to.display()))
    }

    /// Interrupts the command once `begun` says that it has written something.
    fn interrupted(&self, options: &str, to: &Path, begun: impl Fn() -> bool) -> (Option<i32>, String) {
        let mut command = Command::new(binary());
        command.args(["invoice", "files"]).args(options.split_whitespace()).arg("--to").arg(to);
        command.env_clear().env("TOLLGATE_SERVER", format!("http://{}", self.service.address));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !begun() {
            assert!(Instant::now() < deadline, "nothing was written");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn expected(goods: usize, ending: &str) -> BTreeSet<String> {
    (1..=goods).map(|number| format!("INV-{number:06}.{ending}")).collect()
}

fn names_in(archive: &Path) -> BTreeSet<String> {
    let archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_of_a_month_are_files_in_a_folder_or_an_archive_each_fetched_once() {
    let shop = Shop::open(3).await;
    shop.go_to("2026-11-03T12:00:00Z");
    let mut client = shop.service.client().await;
    // The month of beta ends; goods of November are none of October.
    let (november, mut number) = (1_793_491_200, 0);
    until("it is November", || {
        number += 1;
        let (mut client, request_id) = (client.clone(), format!("tick-{number}"));
        async move {
            client.charging.debit(debit("beta", &request_id, "0.01")).await.unwrap();
            (client.journal("beta").await.last()?.accepted_at?.seconds >= november).then_some(())
        }
    })
    .await;
    let usage = Some(v1::Usage { item: "router".into(), category: v1::ChargeCategory::Hardware.into(), ..Default::default() });
    client.charging.debit(v1::DebitRequest { usage, ..debit("acme", "later", "9") }).await.unwrap();
    shop.has_issued(&client, 5).await;
    tokio::task::block_in_place(|| {
        let all = shop.operator.list("invoice list --account acme");
        let later = all[0]["number"].as_str().unwrap().to_owned();
        let of_october: BTreeSet<_> = expected(5, "pdf").into_iter().filter(|name| *name != format!("{later}.pdf")).collect();
        assert_eq!(of_october.len(), 4);
        let folder = shop.path("paper");
        let ended = shop.files("--month 2026-10", &folder);
        assert!(ended.status.success() && ended.output.starts_with("4 written, 0 were there, 0 not written"), "{ended:?}");
        assert_eq!(names(&folder), of_october);
        for name in &of_october {
            assert!(std::fs::read(folder.join(name)).unwrap().starts_with(b"%PDF-"));
        }
        // What is there stays; what is missing comes.
        std::fs::remove_file(folder.join("INV-000002.pdf")).unwrap();
        std::fs::write(folder.join("INV-000001.pdf"), "stamped").unwrap();
        let ended = shop.files("--month 2026-10", &folder);
        assert!(ended.status.success() && ended.output.starts_with("1 written, 3 were there, 0 not written"), "{ended:?}");
        assert_eq!(std::fs::read(folder.join("INV-000001.pdf")).unwrap(), b"stamped");
        assert_eq!(names(&folder), of_october);
        // An archive takes several months, and other forms.
        let archive = shop.path("paper.zip");
        for (options, told) in [
            ("--month 2026-10 --form csv", "4 written, 0 were there"),
            ("--month 2026-11 --form csv", "1 written, 0 were there"),
            ("--month 2026-10 --form csv", "0 written, 4 were there"),
            ("--month 2026-10 --form json", "4 written, 0 were there"),
        ] {
            let ended = shop.files(options, &archive);
            assert!(ended.status.success() && ended.output.starts_with(told), "{options}: {ended:?}");
        }
        let of_october_in = |ending: &str| of_october.iter().map(|name| name.replace("pdf", ending)).collect::<BTreeSet<_>>();
        assert_eq!(names_in(&archive), &expected(5, "csv") | &of_october_in("json"));
        let (mut text, mut opened) = (String::new(), zip::ZipArchive::new(File::open(&archive).unwrap()).unwrap());
        opened.by_name("INV-000001.json").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["number"], "INV-000001");
        assert!(!shop.path("paper.zip.part").exists());
    });
    assert!(shop.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_command_keeps_what_it_has_and_goes_on_when_it_is_repeated() {
    const GOODS: usize = 400;
    let shop = Shop::open(GOODS).await;
    tokio::task::block_in_place(|| {
        let (folder, archive, part) = (shop.path("paper"), shop.path("paper.zip"), shop.path("paper.zip.part"));
        let to_folder = shop.interrupted("--month 2026-10", &folder, || names(&folder).len() > 2);
        let to_archive = shop.interrupted("--month 2026-10", &archive, || part.metadata().is_ok_and(|part| part.len() > 0));
        for (code, error) in [to_folder, to_archive] {
            assert_eq!(code, Some(1), "{error}");
            assert!(error.contains("of 400 documents were not written; repeat the command for them"), "{error}");
        }
        let there = [names(&folder), names_in(&archive)].map(|names| names.len());
        for (path, there) in [&folder, &archive].into_iter().zip(there) {
            assert!((1..GOODS).contains(&there), "{there}");
            let ended = shop.files("--month 2026-10", path);
            let told = format!("{} written, {there} were there, 0 not written", GOODS - there);
            assert!(ended.status.success() && ended.output.starts_with(&told), "{told}: {ended:?}");
        }
        assert_eq!((names(&folder), names_in(&archive)), (expected(GOODS, "pdf"), expected(GOODS, "pdf")));
    });
    assert!(shop.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_said_and_leaves_what_is_there() {
    let shop = Shop::open(1).await;
    tokio::task::block_in_place(|| {
        // A month without documents makes no folder and no archive.
        for name in ["paper", "paper.zip"] {
            let ended = shop.files("--month 2026-09", &shop.path(name));
            assert!(ended.status.success() && ended.output == "no documents were issued for 2026-09\n", "{ended:?}");
            assert!(!shop.path(name).exists() && !shop.path("paper.zip.part").exists());
        }
        std::fs::write(shop.path("note"), "mine").unwrap();
        std::fs::write(shop.path("note.zip"), "mine").unwrap();
        std::fs::create_dir(shop.path("folder.zip")).unwrap();
        for (name, why) in [
            ("note", "cannot make the folder"),
            ("note/paper", "cannot make the folder"),
            ("note.zip", "note.zip is not an archive"),
            ("folder.zip", "folder.zip is not an archive"),
            ("nowhere/paper.zip", "cannot write"),
        ] {
            let ended = shop.files("--month 2026-10", &shop.path(name));
            assert_eq!(ended.status.code(), Some(1), "{name}: {ended:?}");
            assert!(ended.error.contains(why), "{name}: {ended:?}");
        }
        assert_eq!([std::fs::read(shop.path("note")).unwrap(), std::fs::read(shop.path("note.zip")).unwrap()], [b"mine", b"mine"]);
        assert_eq!(shop.files("--month 2026-13", &shop.path("paper")).status.code(), Some(2));
    });
    let nobody = Operator::nowhere().run(&format!("invoice files --month 2026-10 --to {}", shop.path("paper").display()));
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
    assert!(!shop.path("paper").exists());
    assert!(shop.service.stopped().await.success());
}
