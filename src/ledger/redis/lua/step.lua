-- Command by command, in order: src/domain/rules.rs.

-- Decides on the current command. Answers the code, the remembered decision, the account to show.
local function step(n)
  local stored, remembered = accounts[n], request > 0 and requests[request]
  local account = stored and { unpack_struct(ACCOUNT_FORMAT, stored) }
  local first_sent_at, sent_currency
  original, first_sent_at, sent_currency, detail = 0, 0, 0, nil
  if option >= HAS_EXTRA then
    local extra
    option = option - HAS_EXTRA
    extra, batch_at = unpack_struct('<I2c0', batch, batch_at)
    local more = cmsgpack.unpack(extra)
    original, first_sent_at, sent_currency, detail = more[1], more[2], more[3], more[4]
  end
  if remembered and sub(remembered, 1, 8) ~= fingerprint then return REQUEST_ID_REUSED end
  if not remembered then
    if kind == AUTHORIZE and reservations[request] then return REQUEST_ID_REUSED end
    if first_sent_at > 0 and now - first_sent_at > window then return REQUEST_TOO_OLD end
    if kind == CREATE and account then return ACCOUNT_EXISTS end
  end
  if not account and (remembered or kind ~= CREATE) then return ACCOUNT_NOT_FOUND end
  if not remembered and account and sent_currency > 0 and sent_currency ~= account[CURRENCY] then return CURRENCY_MISMATCH end

  -- A close that is due becomes real only with an accepted command.
  local entries_before, sequence_before, is_closed = entry_count, sequence, false
  if account and account[PERIOD_END] ~= 0 and account[PERIOD_END] <= now then
    is_closed = true
    cut_bill(PERIOD_CLOSED, account, account[PERIOD_END])
  end

  local refused, code = nil, 0
  local own_sequence = sequence + 1
  verdict, overdraft, flags, slot_amount, slot_report_by, slot_expires_at = 0, 0, 0, 0, 0, 0
  if remembered then
    code = 1
  elseif kind == OBSERVE then
    if option > 0 and now + WATCH_LEASE > watched_until then watched_until, is_state_dirty = now + WATCH_LEASE, true end
    remembered = ''
  elseif kind == CLOSE_PERIOD then
    if is_closed then verdict = DONE end
    remembered = ''
  elseif kind == CREATE then
    account, refused = create(n)
  else
    refused = handlers[kind](account, n)
  end

  if verdict ~= DONE then
    -- Nothing happened: what was due is still due.
    entry_count, sequence = entries_before, sequence_before
    if refused then return refused end
  end
  local packed = stored
  if verdict == DONE or is_closed then packed = pack(ACCOUNT_FORMAT, unpack(account, 1, ACCOUNT_FIELDS)) end
  if verdict == DONE then accounts[n], dirty_accounts[n] = packed, true end
  if not remembered then
    local more = ''
    if overdraft > 0 then flags, more = flags + OVERDRAFT, pack('<i7', overdraft) end
    if flags % 2 == 1 or floor(flags / RESERVE_DECLINED) % 2 == 1 then
      more = more .. pack('<i7i7i7', slot_amount, slot_report_by, slot_expires_at)
    end
    remembered = pack(REMEMBERED_FORMAT, fingerprint, kind, verdict, flags, 0, amount_decided, verdict == DONE and own_sequence or 0) .. more
    requests[request] = remembered
    dirty_requests[request] = true
  end
  return code, remembered, packed
end

return step
end

-- The straight way of the most frequent command by far: a direct charge of usage, within usable credit, on an active account whose bill is
-- not due. It is the same decision as in charging.lua; whatever is unusual goes there. The account's numbers stay in locals while
-- commands on it follow one another: a run. What a charge moves stands together in the account's record and in the entry's, and is
-- packed once for both. Nothing is answered: the entry says it, and `runs` what else the record of the account holds, once for each run.
local plain_head, packed_period_end = char(DEBIT, DONE, 0, 0), pack('<i7', period_end)
local run_account, moving, tail = 0, nil, nil
local balance, unbilled, reserved, own, limit, temporary_until, ends, bill, status, mode, decimals

local function end_run()
  if moving then accounts[run_account], dirty_accounts[run_account] = moving .. tail, true end
  run_account, moving = 0, nil
end

local n, step
local o = 4
for command = 1, command_count do
  kind, n, request, fingerprint, mantissa, scale, option, batch_at = unpack_struct(COMMAND_FORMAT, batch, batch_at)
  local is_decided = false
  if option == PLAIN_DEBIT and not requests[request] then
    if n ~= run_account then
      if moving then end_run() end
      local stored = accounts[n]
      if stored then
        balance, unbilled, reserved, own, limit, temporary_until, ends, bill, status, mode, decimals = unpack_struct(STRAIGHT_FORMAT, stored)
        if status == ACTIVE and temporary_until <= now and (ends > now or ends == 0) then
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
        if not moving then
          run_count = run_count + 1
          runs[run_count] = tail
        end
        moving = pack(MOVING_FORMAT, balance, unbilled, reserved, own)
        entries[entry_count + 1], entries[entry_count + 2] = pack(ENTRY_HEAD_FORMAT, head, command - 1, bill, amount), moving
        entry_count = entry_count + 2
        local remembered = pack(PLAIN_FORMAT, fingerprint, plain_head, amount, sequence)
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
    step = step or make_rules()
    local code, remembered, packed = step(n)
    if entry_count == entries_before then idle[command], idle_count = true, idle_count + 1 end
    out[o + 1], out[o + 2], out[o + 3], out[o + 4] = place, code, remembered or '', packed or ''
    o = o + 4
  end
end
end_run()
