//! A step that was torn is finished from its block, wherever it was torn, and wherever that is torn in its turn: then the store is what it
//! would be without the failure.

use std::collections::BTreeMap;

use tollgate::domain::account::Account;
use tollgate::domain::command::Action;
use tollgate::domain::money::Units;
use tollgate::domain::outcome::Verdict;
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::codec::{decode_account, encode_account};
use tollgate::ledger::redis::script::{BATCH, FINISH};
use tollgate::ledger::{Block, Engine};

use super::commands::{self, Event, events};
use super::reference::Reference;
use super::torn::{Stage, counted, plain, prepared, rich_batch, top_up};
use super::{cases, runner, sizes};

/// What accounts, in Redis, end with: from when on their reservations are counted.
const HINT: usize = 7;

/// What of a sum of refunds is not known from entries: what was billed.
const BILLED: std::ops::Range<usize> = 7..14;

type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What the store holds, by key and field.
async fn stored(stage: &Stage) -> Contents {
    let mut contents = Contents::new();
    for name in &stage.keys.all {
        let mut connection = stage.connection();
        let kind: String = redis::cmd("TYPE").arg(name).query_async(&mut connection).await.unwrap();
        let fields = match kind.as_str() {
            "hash" => redis::cmd("HGETALL").arg(name).query_async(&mut connection).await.unwrap(),
            "zset" => redis::cmd("ZRANGE").arg(name).arg(0).arg(-1).arg("WITHSCORES").query_async(&mut connection).await.unwrap(),
            _ => BTreeMap::from([(Vec::new(), redis::cmd("DUMP").arg(name).query_async(&mut connection).await.unwrap())]),
        };
        contents.insert(name.clone(), fields);
    }
    contents
}

/// The same, but for hints that may differ; each of those is looked at by itself.
async fn contents(stage: &Stage) -> Contents {
    let mut contents = stored(stage).await;
    for (id, record) in contents.get_mut(stage.keys.accounts()).unwrap().iter_mut().filter(|(id, _)| !id.is_empty()) {
        let account = decode_account(record).unwrap();
        let mut hint = record.split_off(record.len() - HINT);
        hint.push(0);
        let next_expiry = UnixMillis::new(i64::from_le_bytes(hint.try_into().unwrap()));
        let listed = stage.engine.reservations(0, String::from_utf8(id.clone()).unwrap().into(), None, 10_000).await.unwrap();
        let counted: Vec<_> = listed.iter().filter(|(_, reservation)| reservation.expires_at >= next_expiry).collect();
        assert_eq!(counted.iter().map(|(_, reservation)| reservation.amount).sum::<Units>(), account.reserved, "{id:?}: {account:?}");
        assert_eq!(counted.len(), account.open_reservations as usize, "{id:?}: {account:?}");
        // What has expired is taken off by whichever step touches the account next.
        let open = counted.iter().filter(|(_, reservation)| reservation.expires_at > stage.clock.now());
        let (reserved, count) = open.fold((Units::ZERO, 0), |(sum, count), (_, reservation)| (sum + reservation.amount, count + 1));
        *record = encode_account(&Account { reserved, open_reservations: count, ..account });
    }
    contents
}

/// Whether the store is what it should be; what was declined need not be remembered, nor a grant's being the final unit and why a report's
/// new reservation was refused; and what was billed need not be known.
fn assert_is(found: &Contents, whole: &Contents, stage: &Stage, has_declines: bool, context: &str) {
    let requests = stage.keys.requests();
    for (name, expected) in whole {
        let (mut found, mut expected) = (found[name].clone(), expected.clone());
        if name == stage.keys.refunds() {
            for record in found.values_mut().chain(expected.values_mut()).filter(|record| !record.is_empty()) {
                record[BILLED].fill(0xff);
            }
        }
        if requests.contains(&name.as_str()) && !has_declines {
            expected.retain(|key, remembered| remembered.is_empty() || remembered[9] == Verdict::Done as u8 || found.contains_key(key));
            for remembered in found.values_mut().chain(expected.values_mut()).filter(|remembered| !remembered.is_empty()) {
                // Flags, and how the reservation ended; and what the flags say is there.
                remembered[10..12].fill(0);
                remembered.truncate(26);
            }
        }
        assert!(found == expected, "{context}: {name}\n{found:?}\n{expected:?}");
    }
}

#[tokio::test]
async fn a_torn_step_is_finished_from_its_block_wherever_it_was_torn() {
    let stage = Stage::new().await;
    let before = stage.dump().await;
    let (script, finishing) = (counted(&BATCH), counted(&FINISH));
    let packed = stage.packed(&rich_batch());
    let arguments = packed.each_ref().map(Vec::as_slice);
    assert_eq!(stage.fail_at(0, &script, &arguments).await, None);
    let whole = contents(&stage).await;
    assert_eq!(stage.engine.torn_step(0).await.unwrap(), None);
    assert_eq!(stage.engine.finish_step(0).await.unwrap(), None, "there is nothing to finish");

    let (mut failed, mut torn_calls) = (Vec::new(), 0);
    for number in 1.. {
        stage.restore(&before).await;
        let Some(name) = stage.fail_at(number, &script, &arguments).await else { break };
        let is_torn = failed.iter().any(|name| name == "XADD");
        assert_eq!(stage.engine.torn_step(0).await.unwrap().is_some(), is_torn, "call {number}, {name}");
        // What is remembered is the first write behind the block.
        let has_declines = failed.last().is_some_and(|name| name != "XADD");
        failed.push(name.clone());
        if !is_torn {
            continue;
        }
        let torn = stage.dump().await;
        for fatal in 1.. {
            stage.restore(&torn).await;
            let finish = stage.engine.finishing(0).await.unwrap().unwrap();
            let arguments: Vec<_> = finish.arguments.iter().map(Vec::as_slice).collect();
            let failed = stage.fail_at(fatal, &finishing, &arguments).await;
            let context = format!("torn at call {number}, {name}, and finishing at {fatal}, {failed:?}");
            if failed.is_some() {
                torn_calls += 1;
                assert!(stage.engine.torn_step(0).await.unwrap().is_some(), "{context}: it is still torn");
                let block = stage.engine.finish_step(0).await.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(block, Some(finish.block), "{context}");
            }
            assert_is(&contents(&stage).await, &whole, &stage, has_declines, &context);
            assert_eq!(stage.engine.torn_step(0).await.unwrap(), None, "{context}");
            if failed.is_none() {
                break;
            }
        }
        it_goes_on(&stage, has_declines).await;
    }
    assert!(torn_calls > 100, "{torn_calls}: {failed:?}");
}

/// Random steps, each torn at a random call.
#[test]
fn whatever_a_torn_step_did_is_finished() {
    let torn = std::cell::Cell::new(0);
    let calls = proptest::collection::vec(1_usize..24, 1..8);
    runner(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/engines/regressions.txt"), cases(400) / 20)
        .run(&(events(80..150), sizes(), calls), |(events, sizes, calls)| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            torn.set(torn.get() + runtime.block_on(tear(&events, &sizes, &calls)));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{} steps were torn", torn.get());
    assert!(torn.get() > 10, "{}", torn.get());
}

/// Runs the events, and tears steps at these calls; returns how many were torn.
async fn tear(events: &[Event], sizes: &[usize], calls: &[usize]) -> usize {
    let reference = Reference::run(events).await;
    let stage = Stage::empty(commands::START).await;
    let (script, mut torn) = (counted(&BATCH), 0);
    let (mut sizes, mut calls) = (sizes.iter().copied().cycle(), calls.iter().copied().cycle());
    for instant in &reference {
        stage.clock.set(instant.now);
        if instant.is_swept {
            stage.engine.sweep(0).await.unwrap();
        }
        let mut rest = &instant.commands[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(sizes.next().unwrap()));
            rest = after;
            let packed = stage.packed(batch);
            let arguments = packed.each_ref().map(Vec::as_slice);
            let before = stage.dump().await;
            assert_eq!(stage.fail_at(0, &script, &arguments).await, None);
            let (unswept, after_it) = (stored(&stage).await, stage.dump().await);
            // A late report whose new reservation is refused removes what had expired before the sweep does.
            while stage.engine.sweep(0).await.unwrap() {}
            let whole = contents(&stage).await;
            stage.restore(&before).await;
            let call = calls.next().unwrap();
            let failed = stage.fail_at(call, &script, &arguments).await;
            if let Some(block) = stage.engine.torn_step(0).await.unwrap() {
                torn += 1;
                let first = block.first_sequence;
                let has_declines = failed.as_deref() != Some("HSET") || has_requests_of(&stage, &unswept, &block).await;
                let finished = stage.engine.finish_step(0).await;
                let context = format!("torn at call {call}, {failed:?}, entries from {first} on: {batch:#?}");
                assert_eq!(finished.unwrap_or_else(|error| panic!("{context}: {error}")), Some(block), "{context}");
                while stage.engine.sweep(0).await.unwrap() {}
                assert_is(&contents(&stage).await, &whole, &stage, has_declines, &context);
            }
            stage.restore(&after_it).await;
        }
    }
    torn
}

/// Whether the step has written what is remembered.
async fn has_requests_of(stage: &Stage, whole: &Contents, block: &Block) -> bool {
    let found = stored(stage).await;
    let names = stage.keys.requests();
    names.iter().all(|name| found[*name] == whole[*name]) || block.entries.iter().all(|entry| entry.request_id.is_empty())
}

/// All that was decided is remembered, but for the decline that nobody was told of; and the partition takes steps again.
async fn it_goes_on(stage: &Stage, has_declines: bool) {
    let answers = stage.ask(rich_batch()).await;
    for (prepared, answer) in rich_batch().iter().zip(answers) {
        let outcome = answer.unwrap();
        let is_decline = prepared.command.request_id == "declined";
        assert_eq!(outcome.replayed, !is_decline || has_declines, "{prepared:?}: {outcome:?}");
        let expected = if is_decline { Verdict::Declined } else { Verdict::Done };
        assert_eq!(outcome.decision.unwrap().verdict, expected, "{prepared:?}");
    }
    stage.ask(vec![top_up("straight", "after"), plain("gamma", "after", 1), plain("alpha", "after", 1)]).await;
    while stage.engine.sweep(0).await.unwrap() {}
    assert_eq!(stage.engine.torn_step(0).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_torn_step_is_not_finished() {
    let stage = Stage::new().await;
    let (script, before) = (counted(&BATCH), stage.dump().await);
    let packed = stage.packed(&rich_batch());
    let arguments = packed.each_ref().map(Vec::as_slice);
    for number in 1.. {
        stage.restore(&before).await;
        let name = stage.fail_at(number, &script, &arguments).await.unwrap();
        if stage.engine.torn_step(0).await.unwrap().is_none() {
            continue;
        }
        // Who only looks is shown what is stored.
        stage.ask(vec![prepared("alpha", "", Action::Observe { watch: false })]).await;
        // A balance that the entries do not follow on.
        let mut connection = stage.connection();
        let (accounts, id) = (stage.keys.accounts(), "straight");
        let record: Vec<u8> = redis::cmd("HGET").arg(accounts).arg(id).query_async(&mut connection).await.unwrap();
        let other = [&[record[0] ^ 1], &record[1..]].concat();
        redis::cmd("HSET").arg(accounts).arg(id).arg(other).exec_async(&mut connection).await.unwrap();
        let error = stage.engine.finish_step(0).await.unwrap_err().to_string();
        assert!(error.contains("\"straight\"") && error.contains("tollgate restore"), "{name}: {error}");
        // A record that cannot be read.
        redis::cmd("HSET").arg(accounts).arg(id).arg("garbage").exec_async(&mut connection).await.unwrap();
        let error = stage.engine.finish_step(0).await.unwrap_err().to_string();
        assert!(error.contains("\"straight\"") && error.contains("damaged"), "{name}: {error}");
        redis::cmd("HSET").arg(accounts).arg(id).arg(record).exec_async(&mut connection).await.unwrap();
        stage.engine.finish_step(0).await.unwrap().unwrap();
        return;
    }
}
