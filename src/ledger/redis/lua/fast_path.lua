-- The straight way of the most frequent command by far: a direct charge of usage, within usable credit, on an active account whose bill is
-- not due. It is the same decision as in charging.lua; whatever is unusual goes there. The account's numbers stay in locals while
-- commands on it follow one another: a run. What a charge moves stands together in the account's record and at the end of the
-- entry's, so the last entry of a run says it for both. Nothing is answered: the entry says it, and `runs` what else the record of the account holds, once for each run.
local plain_head, packed_period_end = char(DEBIT, DONE, HAS_CHARGED, 0), pack('<i7', period_end)
local run_account, entry, tail = 0, nil, nil
local balance, unbilled, reserved, own, limit, temporary_until, ends, bill, status, mode, decimals

local function end_run()
  if entry then accounts[run_account], dirty_accounts[run_account] = sub(entry, -MOVING_BYTES) .. tail, true end
  run_account, entry = 0, nil
end

-- Deciding is all but asking for credit.
local n, step, note_requests, write_held
local is_deciding = false
local o = 5
for command = 1, command_count do
  kind, n, request, fingerprint, mantissa, scale, option, batch_at = unpack_struct(COMMAND_FORMAT, batch, batch_at)
  local is_decided = false
  if option == PLAIN_DEBIT and not requests[request] and not IS_READING and not is_deferred[n] then
    if n ~= run_account then
      if entry then end_run() end
      local stored = accounts[n]
      if stored and #stored == ACCOUNT_BYTES then
        balance, unbilled, reserved, own, limit, temporary_until, ends, bill, status, mode, decimals = unpack_struct(STRAIGHT_FORMAT, stored)
        local is_readable = decimals <= 6 and (mode == PREPAID or mode == POSTPAID)
        if status == ACTIVE and is_readable and temporary_until <= now and (ends > now or ends == 0) then
          run_account, tail = n, sub(stored, MOVING_BYTES + 1)
          -- The first charge of a period says when it ends.
          if ends == 0 then tail = sub(tail, 1, PERIOD_END_AT) .. packed_period_end .. sub(tail, PERIOD_END_AT + 8) end
        end
      end
    end
    local power = n == run_account and powers[decimals - scale]
    if power then
      local amount, head, new_balance, new_unbilled, usable_credit = mantissa * power, PREPAID_CHARGE, balance, unbilled, limit - reserved
      if mode == PREPAID then
        new_balance, usable_credit = balance - amount, usable_credit + balance
      else
        head, new_unbilled, usable_credit = POSTPAID_CHARGE, unbilled + amount, usable_credit - unbilled
        if balance > 0 then usable_credit = usable_credit + balance end
      end
      -- So far within range that no sum can leave it.
      if amount <= usable_credit and new_balance > -FAR and new_balance < FAR and new_unbilled < FAR and reserved < FAR then
        balance, unbilled, own, sequence = new_balance, new_unbilled, own + 1, sequence + 1
        if not entry then
          run_count = run_count + 1
          runs[run_count] = tail
        end
        entry = pack(PLAIN_ENTRY_FORMAT, head, command - 1, bill, amount, balance, unbilled, reserved, own)
        entry_count = entry_count + 1
        entries[entry_count] = entry
        local charged_kind = mode == PREPAID and CHARGED_BALANCE or CHARGED_UNBILLED
        local remembered = pack(PLAIN_FORMAT, fingerprint, plain_head, amount, sequence, charged_kind, bill)
        requests[request] = remembered
        request_writes[request_write_count + 1], request_writes[request_write_count + 2] = request_keys[request], remembered
        request_write_count = request_write_count + 2
        is_decided = true
      end
    end
  end
  if not is_decided then
    end_run()
    place = command - 1
    local entries_before = entry_count
    if not step then step, note_requests, write_held = make_rules() end
    if kind ~= OBSERVE then is_deciding = true end
    local code, remembered, packed = step(n)
    if entry_count == entries_before then idle[command], idle_count = true, idle_count + 1 end
    out[o + 1], out[o + 2], out[o + 3], out[o + 4] = place, code, remembered or '', packed or ''
    o = o + 4
  end
end
end_run()
