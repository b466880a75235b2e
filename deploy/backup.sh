#!/bin/sh
# Backs up a billing store in PostgreSQL and a ledger in Redis that are in use:
#
#   BILLING=postgres://user@host/database deploy/backup.sh FOLDER [what redis-cli is to be given, such as -h HOST]
#
# It makes the folder, and leaves billing.sql and dump.rdb in it, for their owner's eyes. The billing store's copy has to be the older one, because what it lacks is still in the
# journal of the ledger's copy, and older by as little as possible, because the journal goes back only so far. A dump may take hours, so what
# it shows is fixed first (one transaction's snapshot), then Redis is copied, and then the dump is written.
# A password belongs into ~/.pgpass and REDISCLI_AUTH.
set -eu
umask 077
mkdir -p "$1"
cd "$1"
shift
rm -f billing.sql dump.rdb
REDIS_CLI="redis-cli $*" psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname "$BILLING" <<'END'
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\! $REDIS_CLI --rdb dump.rdb.part && mv dump.rdb.part dump.rdb
\! pg_dump --no-owner --snapshot "$SNAPSHOT" --file billing.sql.part --dbname "$BILLING" && mv billing.sql.part billing.sql
COMMIT;
END
test -e dump.rdb && test -e billing.sql
