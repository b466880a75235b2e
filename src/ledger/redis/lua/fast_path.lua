
-- The fast path of the most frequent command by far: a direct charge of usage, within usable credit, on an active account whose bill is
-- not due. It is the same decision as in charging.lua; whatever is unusual goes there. The account's numbers stay in locals while
-- commands on it follow one another: a run. What a charge moves stands together in the account's record and at the end of the
-- entry's, so the last entry of a run says it for both. Nothing is answered: the entry says it, and `runs` what else the record of the account holds, once for each run.
local powers = { [0] = 1, 10, 100, 1000, 10000, 100000, 1000000 }
local run_account, entry, tail = 0, nil, nil
local seen_tail, is_plain, last_run
local balance, unbilled, reserved, own, limit, temporary_until, ends, bill, status, mode, decimals
-- Kind and mode of the run's entries; how and into which bill it charges.
local head, charged

-- Deciding is all but asking for credit.
local form, n, first_half, second_half, step, note_requests, write_held
local is_deciding = false
local o = 6
for command = 1, command_count do
  form, n, request, first_half, second_half, mantissa, batch_at = unpack_struct(COMMAND_FORMAT, batch, batch_at)
  local is_decided = false
  if form >= PLAIN_DEBIT and form <= PLAIN_DEBIT + 6 and not requests[request] and not IS_READING and not (is_deferred and is_deferred[n]) then
    if n ~= run_account then
      if entry then accounts[run_account], dirty_accounts[run_account] = sub(entry, -MOVING_BYTES) .. tail, true end
      run_account, entry = 0, nil
      local stored = accounts[n]
      if stored and #stored == ACCOUNT_BYTES then
        local stored_tail = sub(stored, MOVING_BYTES + 1)
        if stored_tail ~= seen_tail then
          seen_tail = stored_tail
          limit, temporary_until, ends, bill, status, mode, decimals = unpack_struct(TERMS_FORMAT, stored_tail)
          local is_readable = decimals <= 6 and (mode == PREPAID or mode == POSTPAID)
          is_plain = status == ACTIVE and is_readable and temporary_until <= now and (ends > now or ends == 0)
          tail = stored_tail
          -- The first charge of a period says when it ends.
          if ends == 0 then tail = sub(tail, 1, PERIOD_END_AT) .. pack('<i7', period_end) .. sub(tail, PERIOD_END_AT + 8) end
          if mode == PREPAID then
            head, charged = PREPAID_CHARGE, CHARGED_BALANCE + 256 * bill
          else
            head, charged = POSTPAID_CHARGE, CHARGED_UNBILLED + 256 * bill
          end
        end
        if is_plain then
          run_account = n
          balance, unbilled, reserved, own = unpack_struct(MOVING_FORMAT, stored)
        end
      end
    end
    local power = n == run_account and powers[decimals - form + PLAIN_DEBIT]
    if power then
      local amount, new_balance, new_unbilled, usable_credit = mantissa * power, balance, unbilled, limit - reserved
      if mode == PREPAID then
        new_balance, usable_credit = balance - amount, usable_credit + balance
      else
        new_unbilled, usable_credit = unbilled + amount, usable_credit - unbilled
        if balance > 0 then usable_credit = usable_credit + balance end
      end
      -- So far within range that no sum can leave it.
      if amount <= usable_credit and new_balance > -FAR and new_balance < FAR and new_unbilled < FAR and reserved < FAR then
        balance, unbilled, own, sequence = new_balance, new_unbilled, own + 1, sequence + 1
        if not entry then
          if tail ~= last_run then
            run_count = run_count + 1
            runs[run_count], run_lengths[run_count] = tail, 0
            last_run = tail
          end
          run_lengths[run_count] = run_lengths[run_count] + 1
        end
        entry = pack(PLAIN_ENTRY_FORMAT, head + 65536 * (command - 1), bill, amount, balance, unbilled, reserved, own)
        entry_count = entry_count + 1
        entries[entry_count] = entry
        local remembered = pack(PLAIN_FORMAT, first_half, second_half, PLAIN_HEAD, amount, sequence, charged)
        requests[request] = remembered
        request_writes[request_write_count + 1], request_writes[request_write_count + 2] = request_keys[request], remembered
        request_write_count = request_write_count + 2
        is_decided = true
      end
    end
  end
  if not is_decided then
    if entry then accounts[run_account], dirty_accounts[run_account] = sub(entry, -MOVING_BYTES) .. tail, true end
    run_account, entry = 0, nil
    place, kind, scale, option = command - 1, floor(form / 256) % 256, form % 256 - 1, floor(form / 65536)
    fingerprint = pack(FINGERPRINT_FORMAT, first_half, second_half)
    local entries_before = entry_count
    -- The rules are the text from here to the end of step.lua.
    if not step then
