//! Request ids whose window is over. They are deleted in slices: dropping a table of two million at once takes about a second, during which
//! nothing is charged.

use super::store::Store;

/// Makes the older ids the forgotten ones, and the younger ones the older.
pub(super) const ROTATE: &str = "
    DROP TABLE IF EXISTS forgotten_requests;
    ALTER TABLE older_requests RENAME TO forgotten_requests;
    ALTER TABLE requests RENAME TO older_requests;
    CREATE TABLE requests (id INTEGER PRIMARY KEY, records BLOB NOT NULL);
";

/// At most so many rows, of so many bytes together.
const DELETE: &str = "
    DELETE FROM forgotten_requests WHERE id IN (
        SELECT id FROM (
            SELECT id, sum(bytes) OVER (ORDER BY id) AS bytes
            FROM (SELECT id, length(records) AS bytes FROM forgotten_requests ORDER BY id LIMIT 512)
        ) WHERE bytes <= 524288
    )";

impl Store {
    /// Deletes a slice of what is forgotten; returns whether there is more.
    pub(super) fn delete_forgotten(&self) -> rusqlite::Result<bool> {
        let connection = self.connection();
        if !connection.table_exists(None, "forgotten_requests")? {
            return Ok(false);
        }
        self.roll_back()?;
        connection.prepare_cached(DELETE)?.execute([])?;
        let is_any_left: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM forgotten_requests)", [], |row| row.get(0))?;
        if !is_any_left {
            connection.execute_batch("DROP TABLE forgotten_requests")?;
        }
        Ok(is_any_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Changes, PartitionState};
    use crate::{Opening, Purpose, StoreSettings};

    const ROWS: u32 = 1_000;
    const ROW_BYTES: usize = 20_000;

    #[test]
    fn what_is_forgotten_is_deleted_in_slices_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let open = |opening| {
            Store::open(&path, &StoreSettings { partitions: 1, billing_time_zone: "UTC".into(), window: 60_000 }, opening).unwrap().0
        };
        let count = |store: &Store, table: &str| {
            store.connection().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap()
        };
        let rotate = |store: &Store| {
            let changes = Changes { is_rotated: true, ..Changes::default() };
            assert!(store.write(&PartitionState::default(), &[changes]).unwrap());
        };
        let store = open(Opening::Creating(Purpose::Charging));
        assert!(!store.delete_forgotten().unwrap());
        for _ in 0..ROWS {
            store.connection().execute("INSERT INTO requests (records) VALUES (zeroblob(?1))", [ROW_BYTES]).unwrap();
        }
        rotate(&store);
        assert_eq!((count(&store, "requests"), count(&store, "older_requests")), (0, ROWS));
        while store.delete_forgotten().unwrap() {}
        assert_eq!(count(&store, "older_requests"), ROWS);
        rotate(&store);
        assert_eq!((count(&store, "older_requests"), count(&store, "forgotten_requests")), (0, ROWS));
        assert!(store.delete_forgotten().unwrap());
        let left = count(&store, "forgotten_requests");
        assert!((1..ROWS).contains(&left) && (ROWS - left) as usize * ROW_BYTES <= 1 << 19, "{left} rows are left");
        store.close().unwrap();

        let store = open(Opening::Existing);
        let mut slices = 0;
        while store.delete_forgotten().unwrap() {
            slices += 1;
        }
        assert!(slices > 10, "{slices}");
        assert!(!store.connection().table_exists(None, "forgotten_requests").unwrap());
        // Where a generation is over before the one before is deleted, what is left of that goes at once.
        store.connection().execute("INSERT INTO requests (records) VALUES ('')", []).unwrap();
        (0..3).for_each(|_| rotate(&store));
        assert!(!store.delete_forgotten().unwrap() && !store.connection().table_exists(None, "forgotten_requests").unwrap());
    }
}
