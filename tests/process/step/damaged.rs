//! A5: a damaged record is the trouble of its own commands, and of nobody else's.

use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::{self, PaymentMode};
use tollgate::ledger::prepared_command::partition_of;

use super::{reason, what_became_of};
use crate::service::{Client, Service, debit, money, until};
use crate::support::RedisServer;

/// Too short for any record; and longer than each.
const GARBAGE: [&str; 2] =
    ["garbage", "garbage, and much of it: more than any record that a ledger keeps of an account has bytes, all of them wrong"];

/// Puts garbage into each field of the hashes of that name, but for the sentinel; or into one field.
fn damage(redis: &RedisServer, hash: &str, field: &str, garbage: &str) {
    let script = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*}:' .. ARGV[1])) do for _, field in ipairs(redis.call('HKEYS', key)) do \
                  if field ~= '' and (ARGV[2] == '' or field == ARGV[2]) then redis.call('HSET', key, field, ARGV[3]) n = n + 1 end end end return n";
    let damaged = redis.command(&["EVAL", script, "0", hash, field, garbage]);
    assert_ne!(damaged.trim(), "0", "there was nothing to damage in {hash}");
}

/// What became of each command of one batch: "done", or the reason of the error.
async fn outcomes(client: &mut Client, commands: Vec<Command>) -> Vec<String> {
    let commands = commands.into_iter().map(|command| v1::ChargeCommand { command: Some(command) }).collect();
    let requests = tokio_stream::iter([v1::ChargeRequest { commands }]);
    let answer = match client.charging.charge(requests).await {
        Ok(answer) => answer.into_inner().message().await,
        Err(status) => Err(status),
    };
    let answer = answer.unwrap_or_else(|status| panic!("the whole batch was refused: {}", reason(&status))).unwrap();
    answer.outcomes.into_iter().map(what_became_of).collect()
}

fn release(reservation: &str) -> Command {
    let (account_id, request_id) = ("acme".into(), format!("release-{reservation}"));
    Command::Release(v1::ReleaseRequest { account_id, request_id, reservation_id: reservation.into(), ..Default::default() })
}

struct Stage {
    redis: RedisServer,
    service: Service,
    client: Client,
    /// An account of the same partition as acme's.
    other: String,
}

async fn stage() -> Stage {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    let other = (0..).map(|number| format!("other-{number}")).find(|id| partition_of(id, 4) == partition_of("acme", 4)).unwrap();
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    client.open(&other, PaymentMode::Prepaid, "0", "100").await;
    Stage { redis, service, client, other }
}

#[tokio::test]
async fn a_damaged_account_has_its_own_commands_refused_and_the_others_of_the_batch_are_decided() {
    for garbage in GARBAGE {
        let Stage { redis, service, mut client, other } = stage().await;
        damage(&redis, "accounts", "acme", garbage);
        let commands = vec![
            Command::Debit(debit(&other, "d1", "1")),
            Command::Debit(debit("acme", "d1", "1")),
            Command::GetUsableCredit(v1::GetUsableCreditRequest { account_id: "acme".into() }),
            Command::Debit(debit(&other, "d2", "1")),
        ];
        assert_eq!(outcomes(&mut client, commands).await, ["done", "STORE_CORRUPT", "STORE_CORRUPT", "done"]);
        assert_eq!(client.credit(&other).await.balance, "98.00");

        let account = |id: &str| v1::GetAccountRequest { account_id: id.into() };
        assert_eq!(reason(&client.accounts.get_account(account("acme")).await.unwrap_err()), "STORE_CORRUPT");
        client.accounts.get_account(account(&other)).await.unwrap();
        let page =
            client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap_or_else(|status| panic!("the list: {status:?}"));
        assert_eq!(page.into_inner().accounts.iter().map(|account| &account.account_id).collect::<Vec<_>>(), [&other]);
        let is_told = |line: &String| line.contains("ERROR") && line.contains("damaged") && line.contains("acme");
        until("the damage is in the log", async || service.log().iter().any(is_told).then_some(())).await;
    }
}

#[tokio::test]
async fn a_damaged_profile_has_changes_of_it_refused_and_nothing_else() {
    for garbage in GARBAGE {
        let Stage { redis, service: _service, mut client, other } = stage().await;
        damage(&redis, "profiles", "acme", garbage);
        let update = |id: &str| v1::UpdateAccountRequest {
            account_id: id.into(),
            request_id: "u1".into(),
            name: Some("Another name".into()),
            ..Default::default()
        };
        assert_eq!(reason(&client.accounts.update_account(update("acme")).await.unwrap_err()), "STORE_CORRUPT");
        client.accounts.update_account(update(&other)).await.unwrap();
        let commands = vec![Command::Debit(debit("acme", "d1", "1")), Command::Debit(debit(&other, "d1", "1"))];
        assert_eq!(outcomes(&mut client, commands).await, ["done", "done"]);
        let page = client.accounts.list_accounts(v1::ListAccountsRequest::default()).await.unwrap().into_inner();
        assert_eq!(page.accounts.len(), 1);
    }
}

#[tokio::test]
async fn a_damaged_remembered_record_has_its_own_repetition_refused() {
    for garbage in GARBAGE {
        let Stage { redis, service: _service, mut client, other } = stage().await;
        client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
        damage(&redis, "requests*", "", garbage);
        let refund = v1::RefundRequest { account_id: "acme".into(), request_id: "f1".into(), charge_id: "d1".into(), ..Default::default() };
        let commands = vec![
            Command::Debit(debit(&other, "d1", "1")),
            Command::Debit(debit("acme", "d1", "1")),
            Command::Debit(debit("acme", "d2", "1")),
        ];
        assert_eq!(outcomes(&mut client, commands).await, ["done", "STORE_CORRUPT", "done"]);
        assert_eq!(reason(&client.charging.refund(refund).await.unwrap_err()), "STORE_CORRUPT");
        assert_eq!(client.credit("acme").await.balance, "98.00");
    }
}

#[tokio::test]
async fn a_damaged_reservation_has_its_own_commands_refused() {
    for garbage in GARBAGE {
        let Stage { redis, service: _service, mut client, other } = stage().await;
        let reserve = Some(v1::Reserve { amount: money("1"), ..Default::default() });
        let authorize = v1::AuthorizeRequest { account_id: "acme".into(), request_id: "a1".into(), reserve, ..Default::default() };
        client.charging.authorize(authorize).await.unwrap();
        damage(&redis, "reservations", "", garbage);
        let report = v1::DebitRequest { reservation_id: "a1".into(), ..debit("acme", "s1", "1") };
        let commands =
            vec![Command::Debit(debit(&other, "d1", "1")), Command::Debit(report), release("a1"), Command::Debit(debit("acme", "d1", "1"))];
        assert_eq!(outcomes(&mut client, commands).await, ["done", "STORE_CORRUPT", "STORE_CORRUPT", "done"]);
        // Nothing is torn: the partition goes on.
        client.charging.debit(debit(&other, "d2", "1")).await.unwrap();
    }
}

/// All accounts that the list shows, one on each page.
async fn listed(client: &mut Client) -> Vec<String> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListAccountsRequest { page_size: 1, page_token, ..Default::default() };
        let page = client.accounts.list_accounts(request).await.unwrap_or_else(|status| panic!("a page: {}", reason(&status))).into_inner();
        found.extend(page.accounts.into_iter().map(|account| account.account_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

async fn count_of_damaged(service: &Service) -> u64 {
    let text = std::process::Command::new("curl").args(["-s", &format!("http://{}/metrics", service.metrics)]).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|line| line.strip_prefix("tollgate_damaged_records_total ")?.parse().ok()).unwrap()
}

#[tokio::test]
async fn a_damaged_name_is_left_out_of_the_list_and_nobody_else() {
    let Stage { redis, service, mut client, other } = stage().await;
    assert_eq!(listed(&mut client).await, ["acme", &other]);
    assert_eq!(count_of_damaged(&service).await, 0);
    // Before, between and behind the two: no text, and no account.
    let script = "for _, key in ipairs(redis.call('KEYS', '*}:names')) do redis.call('ZADD', key, 0, 'a\\255\\0x', 0, 'customer b', 0, 'd\\255') end";
    redis.command(&["EVAL", script, "0"]);
    assert_eq!(listed(&mut client).await, ["acme", &other]);
    assert!(count_of_damaged(&service).await > 0);
}

/// A service on a clock of its own, and a way to move that.
async fn clocked(redis: &RedisServer, more: &[&str]) -> (tempfile::TempDir, Service) {
    let folder = crate::temporary_folder();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "2026-11-30T23:00:00Z").unwrap();
    let service = Service::start(&[&["--redis", &redis.url(), "--test-clock", clock.to_str().unwrap()], more].concat(), &[]);
    (folder, service)
}

fn go_to(folder: &tempfile::TempDir, time: &str) {
    let next = folder.path().join("next");
    std::fs::write(&next, time).unwrap();
    std::fs::rename(next, folder.path().join("clock")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_due_is_swept_beside_damaged_records() {
    for hash in ["accounts", "reservations"] {
        let redis = RedisServer::redis();
        let (folder, service) = clocked(&redis, &[]).await;
        let mut client = service.client().await;
        let other = (0..).map(|number| format!("other-{number}")).find(|id| partition_of(id, 4) == partition_of("acme", 4)).unwrap();
        let reserve = |id: &str| v1::AuthorizeRequest {
            account_id: id.into(),
            request_id: "a1".into(),
            reserve: Some(v1::Reserve { amount: money("10"), ..Default::default() }),
            ..Default::default()
        };
        client.open("acme", PaymentMode::Prepaid, "0", "100").await;
        client.charging.authorize(reserve("acme")).await.unwrap();
        damage(&redis, hash, if hash == "accounts" { "acme" } else { "" }, GARBAGE[0]);
        client.open(&other, PaymentMode::Prepaid, "0", "100").await;
        client.charging.authorize(reserve(&other)).await.unwrap();
        let expiries = || {
            let script = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*}:reservations')) do n = n + redis.call('HLEN', key) - 1 end return n";
            redis.command(&["EVAL", script, "0"]).trim().to_owned()
        };
        assert_eq!(expiries(), "2");
        go_to(&folder, "2026-11-30T23:50:00Z");
        // What cannot be read stays for those who mend it.
        until("the other's is swept", async || (expiries() == "1").then_some(())).await;
        let credit = client.credit(&other).await;
        assert_eq!((credit.balance.as_str(), credit.reserved.as_str()), ("100.00", "0.00"));
        client.charging.debit(debit(&other, "d1", "1")).await.unwrap();
        let own = client.charging.debit(debit("acme", "d1", "1")).await;
        match hash {
            "accounts" => assert_eq!(reason(&own.unwrap_err()), "STORE_CORRUPT"),
            // Nobody can say what a damaged reservation held: it stays held.
            _ => assert_eq!(own.unwrap().into_inner().credit.unwrap().reserved, "10.00"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn periods_of_idle_accounts_are_closed_beside_a_damaged_one() {
    let (redis, postgres) = (RedisServer::redis(), crate::postgres::PostgresServer::shared());
    let billing = postgres.database();
    let (folder, service) = clocked(&redis, &["--billing", &billing, "--aggregate"]).await;
    let mut client = service.client().await;
    let other = (0..).map(|number| format!("other-{number}")).find(|id| partition_of(id, 4) == partition_of("acme", 4)).unwrap();
    for id in ["acme", &other] {
        client.open(id, PaymentMode::Postpaid, "100", "0").await;
        client.charging.debit(debit(id, "d1", "1")).await.unwrap();
    }
    damage(&redis, "accounts", "acme", GARBAGE[1]);
    go_to(&folder, "2026-12-01T00:05:00Z");
    until("the other's period is closed, though nobody touches it", || {
        let (mut client, other) = (client.clone(), other.clone());
        async move { client.journal(&other).await.iter().any(|entry| entry.kind() == v1::EntryKind::PeriodClosed).then_some(()) }
    })
    .await;
    assert!(count_of_damaged(&service).await > 0);
}
