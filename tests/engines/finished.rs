//! A step that was torn is finished from its block, wherever it was torn, and wherever that is torn in its turn: then the store is what it
//! would be without the failure.

use std::collections::BTreeMap;

use tollgate::domain::command::Action;
use tollgate::domain::outcome::Verdict;
use tollgate::ledger::Engine;
use tollgate::ledger::codec::decode_account;
use tollgate::ledger::redis::script::{BATCH, FINISH};

use super::torn::{Stage, counted, order, plain, rich_batch, top_up};

/// What accounts, in Redis, end with: from when on their reservations are counted, at the latest.
const HINT: usize = 7;

/// What of a sum of refunds is not known from entries: what was billed.
const BILLED: std::ops::Range<usize> = 7..14;

type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What the store holds, by key and field, but for hints that may differ; each of those is looked at by itself.
async fn contents(stage: &Stage) -> Contents {
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
    for (id, record) in contents.get_mut(stage.keys.accounts()).unwrap().iter_mut().filter(|(id, _)| !id.is_empty()) {
        let account = decode_account(record).unwrap();
        let mut hint = record.split_off(record.len() - HINT);
        hint.push(0);
        let next_expiry = i64::from_le_bytes(hint.try_into().unwrap());
        assert!(next_expiry > stage.clock.now(), "{id:?}: what has expired is not counted: {account:?}");
        let listed = stage.engine.reservations(0, String::from_utf8(id.clone()).unwrap(), None, 100).await.unwrap();
        let open: Vec<_> = listed.iter().filter(|(_, reservation)| reservation.expires_at > stage.clock.now()).collect();
        assert!(open.iter().all(|(_, reservation)| reservation.expires_at >= next_expiry), "{id:?}: what is open is counted: {account:?}");
        assert_eq!(open.iter().map(|(_, reservation)| reservation.amount).sum::<i64>(), account.reserved);
        assert_eq!(open.len(), account.open_reservations as usize);
    }
    contents
}

/// Whether the store is what it should be; what was declined need not be remembered, and what was billed need not be known.
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
            expected.retain(|_, remembered| remembered.len() < 10 || remembered[9] != Verdict::Declined as u8);
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

/// All that was decided is remembered, but for the decline that nobody was told of; and the partition takes steps again.
async fn it_goes_on(stage: &Stage, has_declines: bool) {
    let answers = stage.ask(rich_batch()).await;
    for (order, answer) in rich_batch().iter().zip(answers) {
        let outcome = answer.unwrap();
        let is_decline = order.command.request_id == "declined";
        assert_eq!(outcome.replayed, !is_decline || has_declines, "{order:?}: {outcome:?}");
        let expected = if is_decline { Verdict::Declined } else { Verdict::Done };
        assert_eq!(outcome.decision.unwrap().verdict, expected, "{order:?}");
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
        stage.ask(vec![order("alpha", "", Action::Observe { watch: false })]).await;
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
