//! Rebuilt partitions put into an empty store: what `restore` does.
//!
//! While it lasts, the store's settings say that it is being restored, and no service uses it. Each partition is made anew as a whole, so
//! a restoration that was interrupted is simply done again.

use anyhow::{Context, bail, ensure};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline};

use super::RedisOptions;
use super::keys::{PartitionKeys, settings_key};
use super::prepare::{Stored, check_server};
use super::script::{FORMAT_VERSION, INITIALIZE, NEVER};
use crate::ledger::StoreSettings;
use crate::ledger::codec::{encode_account, encode_place, encode_profile, encode_remembered, encode_reservation};
use crate::ledger::model::{Book, State};

/// How many records go to Redis at once.
const AT_ONCE: usize = 1_000;

/// A store that is being restored.
pub struct Installation {
    connection: MultiplexedConnection,
    settings_key: String,
    settings: StoreSettings,
    partitions: Vec<PartitionKeys>,
}

impl Installation {
    /// Claims an empty store, or goes on with one whose restoration was interrupted. One that holds anything is refused.
    pub async fn begin(options: &RedisOptions, settings: &StoreSettings) -> anyhow::Result<Self> {
        let client = redis::Client::open(options.connection_info()?)?;
        // Writing a thousand records may take longer than deciding on a batch.
        let patience = options.response_timeout * 30;
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(Some(patience));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.context("cannot connect to Redis")?;
        check_server(&mut connection).await?;
        let partitions: Vec<_> =
            (0..settings.partitions).map(|partition| PartitionKeys::new(&options.store_name, partition, settings.partitions)).collect();
        let settings_key = settings_key(&options.store_name);
        let text: Option<String> = redis::cmd("GET").arg(&settings_key).query_async(&mut connection).await?;
        let is_interrupted = match &text {
            None => false,
            Some(text) => {
                let stored: Stored = serde_json::from_str(text).with_context(|| format!("{settings_key} holds no settings"))?;
                ensure!(stored.settings == *settings, "the store was initialized with other settings: {:?}", stored.settings);
                stored.is_being_restored
            }
        };
        if !is_interrupted {
            for keys in &partitions {
                let accounts: usize = redis::cmd("HLEN").arg(keys.accounts()).query_async(&mut connection).await?;
                if accounts > 1 {
                    bail!("the store in Redis is not empty: a ledger is only restored into an empty one");
                }
            }
        }
        let mut installation = Self { connection, settings_key, settings: settings.clone(), partitions };
        installation.write_settings(true).await?;
        Ok(installation)
    }

    /// Makes a partition what the book says, whatever was there.
    pub async fn install(&mut self, partition: u16, book: &Book) -> anyhow::Result<()> {
        let keys = self.partitions.get(usize::from(partition)).cloned().context("there is no such partition")?;
        redis::cmd("UNLINK").arg(&keys.all).exec_async(&mut self.connection).await?;
        redis::cmd("EVAL").arg(&INITIALIZE.text).arg(keys.all.len()).arg(&keys.all).exec_async(&mut self.connection).await?;
        let [younger, older] = keys.requests();
        let accounts = book.accounts.iter().map(|(id, account)| (id.as_bytes().to_vec(), encode_account(account)));
        self.put(keys.accounts(), accounts).await?;
        let profiles = book.profiles.iter().map(|(id, profile)| (id.as_bytes().to_vec(), encode_profile(id, profile)));
        self.put(keys.profiles(), profiles).await?;
        let reservations = book.reservations.iter().map(|(key, reservation)| (key.0.to_vec(), encode_reservation(reservation)));
        self.put(keys.reservations(), reservations).await?;
        for (key, requests) in [(younger, &book.requests), (older, &book.older_requests)] {
            self.put(key, requests.iter().map(|(key, remembered)| (key.0.to_vec(), encode_remembered(remembered)))).await?;
        }
        self.put(keys.refunds(), book.undone.iter().map(|(key, amount)| (key.0.to_vec(), amount.to_le_bytes().to_vec()))).await?;
        self.rank(keys.expiries(), book.expiries.iter().map(|(at, key)| (*at, key.0.to_vec()))).await?;
        let by_account = book.reservations.iter().map(|(key, reservation)| {
            let place = [reservation.account.as_bytes(), b"\0", &key.0].concat();
            (0, place)
        });
        self.rank(keys.reservations_by_account(), by_account).await?;
        self.rank(keys.names(), book.names.iter().map(|place| (0, encode_place(place).into_bytes()))).await?;
        redis::cmd("HSET").arg(keys.accounts()).arg("").arg(encode_state(book)).exec_async(&mut self.connection).await?;
        Ok(())
    }

    /// Says that the store is whole: services may use it.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.write_settings(false).await
    }

    async fn write_settings(&mut self, is_being_restored: bool) -> anyhow::Result<()> {
        let stored = Stored { format_version: FORMAT_VERSION, is_being_restored, settings: self.settings.clone() };
        let text = serde_json::to_string(&stored)?;
        redis::cmd("SET").arg(&self.settings_key).arg(text).exec_async(&mut self.connection).await?;
        Ok(())
    }

    /// Writes fields of a hash.
    async fn put(&mut self, key: &str, fields: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> anyhow::Result<()> {
        self.in_chunks(fields, |pipeline, (field, value)| {
            pipeline.cmd("HSET").arg(key).arg(field).arg(value).ignore();
        })
        .await
    }

    /// Writes members of a sorted set.
    async fn rank(&mut self, key: &str, members: impl Iterator<Item = (i64, Vec<u8>)>) -> anyhow::Result<()> {
        self.in_chunks(members, |pipeline, (score, member)| {
            pipeline.cmd("ZADD").arg(key).arg(score).arg(member).ignore();
        })
        .await
    }

    async fn in_chunks<T>(&mut self, mut items: impl Iterator<Item = T>, add: impl Fn(&mut Pipeline, T)) -> anyhow::Result<()> {
        loop {
            let mut pipeline = Pipeline::new();
            items.by_ref().take(AT_ONCE).for_each(|item| add(&mut pipeline, item));
            if pipeline.is_empty() {
                return Ok(());
            }
            pipeline.exec_async(&mut self.connection).await?;
        }
    }
}

/// The script's `STATE_FORMAT`: the state of a partition, which is the field of the accounts that has no name.
fn encode_state(book: &Book) -> Vec<u8> {
    let State { sequence, last_block, now, rotated_at, legacy_until } = book.state;
    let next_expiry = book.expiries.first().map_or(NEVER, |(at, _)| *at);
    let mut bytes = FORMAT_VERSION.to_le_bytes().to_vec();
    bytes.extend(sequence.to_le_bytes());
    let never_checked = 0_i64;
    for number in [now, never_checked, next_expiry, rotated_at] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.push(u8::from(!book.older_requests.is_empty()));
    let watched_until = 0_i64;
    bytes.extend(watched_until.to_le_bytes());
    bytes.extend(last_block);
    let generation = 0_u32;
    bytes.extend(generation.to_le_bytes());
    bytes.extend(legacy_until.to_le_bytes());
    bytes
}
