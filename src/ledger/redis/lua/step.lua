-- Command by command, in order: src/domain/rules.rs.

-- Decides on the current command. Answers the code, the remembered decision, the account to show.
local function step(n, extra)
  local stored, remembered = accounts[n], request > 0 and requests[request]
  local account = stored and { unpack_struct(ACCOUNT_FORMAT, stored) }
  local first_sent_at, sent_currency
  original, first_sent_at, sent_currency, detail = 0, 0, 0, nil
  if extra ~= '' then
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
    local id = account_ids[n]
    is_closed = true
    cut_bill(PERIOD_CLOSED, account, pack('<I2c0I4', #id, id, 0), account[PERIOD_END])
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
    if flags % 2 == 1 or floor(flags / RESERVE_DECLINED) % 2 == 1 then
      remembered = pack(REMEMBERED_LONG_FORMAT, fingerprint, kind, verdict, flags, 0, amount_decided, overdraft,
        verdict == DONE and own_sequence or 0, slot_amount, slot_report_by, slot_expires_at)
    else
      remembered = pack(REMEMBERED_FORMAT, fingerprint, kind, verdict, flags, 0, amount_decided, overdraft,
        verdict == DONE and own_sequence or 0)
    end
    requests[request] = remembered
    dirty_requests[request] = true
  end
  return code, remembered, packed
end

local o, n, extra = 1, nil, nil
for _ = 1, command_count do
  kind, n, request, fingerprint, mantissa, scale, option, extra, rest, batch_at = unpack_struct(COMMAND_FORMAT, batch, batch_at)
  local stored, is_decided = accounts[n], false
  -- The straight way of the most frequent command by far: a direct charge of usage, within usable credit, on an active account whose
  -- bill is open and not due. It is the same decision as in charging.lua; whatever is unusual goes there.
  if kind == DEBIT and option == PLAIN_DEBIT and extra == '' and stored and not requests[request] then
    local balance, unbilled, reserved, own, status, mode, _, decimals, _, _, limit, temporary, temporary_until, bill, _, ends =
      unpack_struct(ACCOUNT_FORMAT, stored)
    if status == ACTIVE and ends > now and scale <= decimals then
      local amount = mantissa * powers[decimals - scale]
      if now < temporary_until and temporary > limit then limit = temporary end
      local entry_kind, usable_credit = CHARGED_BALANCE, nil
      if mode == PREPAID then
        usable_credit = balance + limit - reserved
        balance = balance - amount
      else
        usable_credit = limit + (balance > 0 and balance or 0) - unbilled - reserved
        entry_kind, unbilled = CHARGED_UNBILLED, unbilled + amount
      end
      if amount <= usable_credit and amount <= MAX_UNITS and is_within_range(balance, unbilled, reserved) then
        sequence = sequence + 1
        -- What a charge moves stands together in the account's record and in the entry's, and is packed once for both.
        local moving = pack(MOVING_FORMAT, balance, unbilled, reserved, own + 1)
        local packed = moving .. sub(stored, MOVING_BYTES + 1)
        local remembered = pack(REMEMBERED_FORMAT, fingerprint, DEBIT, DONE, 0, 0, amount, 0, sequence)
        entries[entry_count + 1] = pack(ENTRY_HEAD_FORMAT, entry_kind, mode, bill, amount)
        entries[entry_count + 2], entries[entry_count + 3] = moving, rest
        entry_count = entry_count + 3
        requests[request], dirty_requests[request] = remembered, true
        accounts[n], dirty_accounts[n] = packed, true
        out[o + 1], out[o + 2], out[o + 3] = 0, remembered, packed
        is_decided = true
      end
    end
  end
  if not is_decided then
    local code, remembered, packed = step(n, extra)
    out[o + 1], out[o + 2], out[o + 3] = code, remembered or '', packed or ''
  end
  o = o + 3
end
