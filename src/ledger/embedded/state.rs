//! The row in which a file keeps the state of its partition.

use rusqlite::{Connection, params};

use crate::model::State;
use domain::time::UnixMillis;

const LOAD: &str = "
    SELECT sequence, last_block, now, rotated_at, legacy_until, refunds_dropped_until, reserved_until, older_reserved_until FROM state";

const WRITE: &str = "
    UPDATE state SET sequence = ?1, last_block = ?2, now = ?3, rotated_at = ?4, legacy_until = ?5, refunds_dropped_until = ?6,
                     reserved_until = ?7, older_reserved_until = ?8";

pub(super) fn load(connection: &Connection) -> rusqlite::Result<State> {
    connection.query_row(LOAD, [], |row| {
        Ok(State {
            sequence: row.get(0)?,
            last_block: row.get(1)?,
            now: UnixMillis::new(row.get(2)?),
            rotated_at: UnixMillis::new(row.get(3)?),
            legacy_until: UnixMillis::new(row.get(4)?),
            refunds_dropped_until: row.get(5)?,
            reserved_until: UnixMillis::new(row.get(6)?),
            older_reserved_until: UnixMillis::new(row.get(7)?),
        })
    })
}

pub(super) fn write(connection: &Connection, state: &State) -> rusqlite::Result<()> {
    let State { sequence, last_block, now, rotated_at, legacy_until, refunds_dropped_until, reserved_until, older_reserved_until } = state;
    let [now, rotated_at, legacy_until, reserved_until, older_reserved_until] =
        [now, rotated_at, legacy_until, reserved_until, older_reserved_until].map(|at| at.get());
    let row = params![sequence, last_block, now, rotated_at, legacy_until, refunds_dropped_until, reserved_until, older_reserved_until];
    connection.prepare_cached(WRITE)?.execute(row)?;
    Ok(())
}
