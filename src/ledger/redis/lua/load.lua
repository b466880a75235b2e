-- One step of one partition: a batch of commands of any kind, decided in order, each seeing the one before.
--
-- The script is these files, one after another: aliases; load (the batch, and what it touches); due, with records (what expired); fast_path
-- (command by command); then, inside of its loop, records, optional_state, formulas, charging, wallet, reversal and step (the rules, as in
-- src/domain/rules: names, order of checks and numbers are the same, and a property test holds the two against each other), which are one
-- function, made when the first command needs it; end_of_rules (the rest of the loop); write. Everything is loaded in a few calls, decided in
-- tables, and written in a few calls behind the marked point of no return: a script is isolated, but not rolled back.
--
-- KEYS: see src/ledger/redis/keys.rs. ARGV: the batch, the accounts' ids, what the entries end with (see src/ledger/redis/batch.rs), the
-- channel for changes, and, for a while after a migration, the commands' fingerprints as version 2 made them. Returns a flat array: 1 if
-- the changes could not be announced, and 2 if commands wait for a later step, added up; the time of the step; the numbers of its first and last entry; the entries; and the accounts of
-- what took the fast path (see fast_path.lua), whose answers the sender reads out of them and of the entries; then for each other command its place, a code (0: decided, 1: decided before, else a refusal), the remembered decision, the account. All amounts are integers below
-- 2^53, which doubles hold exactly.
--
-- Names in capitals are constants, and keys: src/ledger/redis/script.rs puts in their values, most of them from the Rust types that
-- they belong to. So the two cannot differ, no name is looked up, and Lua's limit of 200 locals is far away.
--
-- Each call into Redis costs 2 to 8 µs, whatever it does, so a step has five of them: the state of the partition is a field of the hash of
-- accounts, read and written with them; the clock is looked at four times a second; of older ids, the state says whether there are any.
-- A local that a function refers to costs the step 0.1 µs where the function is made. So functions are made where they are needed, if they
-- are: a step of plain debits makes none.
--
-- What a command costs is mostly Lua itself. Measured on one 2.4 GHz core: a field packed about 45 ns, unpacked 25, a call 40, a string
-- made 100 and 2 more for each of its bytes (Redis's Lua hashes them all), an element of cmsgpack 150. So batches are unpacked by
-- `struct`, into numbers rather than strings; the rare parts of records are left packed, and not looked at again where they are those of
-- the account before; what the rules do not look at goes from the sender to the journal as it is, and is not joined to anything; and
-- nothing is answered that the sender can read elsewhere.

-- ---------------------------------------------------------------------------------------------------------------- the batch

local batch, ids, metadata = ARGV[1], ARGV[2], ARGV[3]
local now, max_ahead, this_period_end, next_period_end, window, block_id, ledger, account_count, request_count, command_count,
  reservation_count, profile_count, keys_at = unpack_struct(BATCH_FORMAT, batch)

-- Behind a list, where it ends.
local account_ids = { unpack_struct(rep('Bc0', account_count), ids) }
account_ids[account_count + 1] = ''
-- Which of the requests may have a reservation, and which accounts need their profile, is for the rules to read: numbers of two bytes each.
local held_at = keys_at + 16 * request_count
local batch_at = held_at + 2 * (reservation_count + profile_count)

local accounts = call('HMGET', ACCOUNTS, unpack(account_ids))
local state = accounts[account_count + 1]
if not state then return { err = 'EMPTYSTORE the store is empty' } end
-- The rest of the state is for the rules to read; but whose it is stands before its last byte.
local version, sequence, last_now, checked_at, next_expiry, rotated_at, has_older, watched_until, last_block, generation, rare_state =
  unpack_struct(STEP_STATE_FORMAT, state)
if version ~= FORMAT_VERSION then return { err = 'BADSTORE unknown format version' } end
if sub(rare_state, -9, -2) ~= ledger then return { err = 'OTHERSTORE the store is of another ledger' } end
local first_sequence, state_now, is_state_dirty = sequence + 1, last_now, false

-- A sender whose clock is ahead would drag the partition's along. Nobody's is further ahead than it may be and a quarter of a second,
-- because what was checked last was not.
if max_ahead >= 0 and now - checked_at >= 250 then
  local time = call('TIME')
  local ahead = now - (time[1] * 1000 + floor(time[2] / 1000))
  if ahead > max_ahead then return { err = format('CLOCKAHEAD the clock of the sender is %.0f ms ahead', ahead) } end
  checked_at = now
end
if now < last_now then now = last_now end
local period_end = this_period_end
if period_end <= now then period_end = next_period_end end

-- The two generations of request ids are two keys, whose roles the sweep swaps.
local younger_requests, older_requests = REQUESTS_0, REQUESTS_1
if generation % 2 == 1 then younger_requests, older_requests = REQUESTS_1, REQUESTS_0 end

-- What the accounts of this batch have due is taken off before anything is decided; what others have due is the sweep's. Of accounts with
-- much of it, few have their turn: the commands of the others wait for a later step. A record that cannot be read has its own commands
-- refused. How it is taken off (records.lua) and of whom (due.lua) stands inside of this condition.
local dirty_accounts, is_deferred, has_deferred, taken_off = {}, nil, false, 0
if next_expiry <= now then
is_deferred = {}
