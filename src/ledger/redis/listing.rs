//! Lists: accounts by name, an account's reservations, and accounts whose close is due. What is damaged is left out of them, and told.

use super::damaged::readable;
use super::{Bytes, RedisEngine};
use crate::codec::{decode_account, decode_place, decode_reservation, decode_reservation_place, encode_place, encode_reservation_place};
use crate::{DuePage, IdempotencyKey, LedgerError, NamePlace, ReservationPlace};
use domain::account::Reservation;
use domain::ids::AccountId;
use domain::rules::is_close_due;
use domain::time::UnixMillis;

impl RedisEngine {
    pub(super) async fn list_names(
        &self,
        partition: u16,
        prefix: String,
        after: Option<NamePlace>,
        count: usize,
    ) -> Result<Vec<NamePlace>, LedgerError> {
        let keys = self.keys(partition)?;
        // The sentinel is the empty member; every name is above it.
        let from_prefix = if prefix.is_empty() { "(".to_owned() } else { format!("[{prefix}") };
        let mut start = match after.filter(|after| after.folded_name >= prefix) {
            Some(after) => format!("({}", encode_place(&after)),
            None => from_prefix,
        }
        .into_bytes();
        let end = [b"(", prefix.as_bytes(), b"\xff"].concat();
        let mut found = Vec::new();
        // What is left out is made up for by what follows: who gets fewer than asked for takes it that there are no more.
        while found.len() < count {
            let wanted = count - found.len();
            let command = redis::cmd("ZRANGEBYLEX").arg(keys.names()).arg(&start).arg(&end).arg("LIMIT").arg(0).arg(wanted).clone();
            let members: Vec<Vec<u8>> = self.read(keys, &command).await?;
            let Some(last) = members.last() else { break };
            start = [b"(", &last[..]].concat();
            found.extend(members.iter().filter_map(|member| readable(&String::from_utf8_lossy(member), decode_place(member))));
            if members.len() < wanted {
                break;
            }
        }
        Ok(found)
    }

    pub(super) async fn list_reservations(
        &self,
        partition: u16,
        account: AccountId,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Result<Vec<(IdempotencyKey, Reservation)>, LedgerError> {
        let keys = self.keys(partition)?;
        let (mut found, mut after) = (Vec::new(), after);
        // What ends between the two reads is left out, and made up for by what follows.
        while found.len() < count {
            let wanted = count - found.len();
            let start = match &after {
                Some(place) => [b"(", &encode_reservation_place(&account, place)[..]].concat(),
                None => format!("[{account}\0").into_bytes(),
            };
            let end = format!("({account}\u{1}");
            let by_account = keys.reservations_by_account();
            let members: Vec<Vec<u8>> =
                self.read(keys, redis::cmd("ZRANGEBYLEX").arg(by_account).arg(start).arg(end).arg("LIMIT").arg(0).arg(wanted)).await?;
            let places = members.iter().map(|member| decode_reservation_place(&account, member).map_err(LedgerError::corrupt));
            let listed = places.collect::<Result<Vec<_>, _>>()?;
            let Some(last) = listed.last().copied() else { break };
            let mut command = redis::cmd("HMGET");
            command.arg(keys.reservations());
            listed.iter().for_each(|place| {
                command.arg(&place.key.0);
            });
            let stored: Vec<Bytes> = self.read(keys, &command).await?;
            for (place, stored) in listed.iter().zip(stored).filter_map(|(place, stored)| Some((place, stored?))) {
                found.push((place.key, decode_reservation(&stored).map_err(LedgerError::corrupt)?));
            }
            if members.len() < wanted {
                break;
            }
            after = Some(last);
        }
        Ok(found)
    }

    pub(super) async fn list_due(
        &self,
        partition: u16,
        cursor: Option<String>,
        count: usize,
        now: UnixMillis,
    ) -> Result<DuePage, LedgerError> {
        let keys = self.keys(partition)?;
        let mut command = redis::cmd("HSCAN");
        command.arg(keys.accounts()).arg(cursor.as_deref().unwrap_or("0")).arg("COUNT").arg(count);
        let (next, found): (String, Vec<Vec<u8>>) = self.read(keys, &command).await?;
        // Ids and records take turns; the sentinel has no name.
        let accounts = found.chunks_exact(2).filter_map(|pair| {
            let [id, stored] = pair else { return None };
            let id = AccountId::new(String::from_utf8_lossy(id).into_owned());
            let is_due = !id.is_empty() && readable(&id, decode_account(stored)).is_some_and(|account| is_close_due(&account, now));
            is_due.then_some(id)
        });
        Ok(DuePage { accounts: accounts.collect(), next: (next != "0").then_some(next) })
    }
}
