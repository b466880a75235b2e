
for n = 1, account_count do
  local stored = accounts[n]
  if stored and is_account(stored) and is_due(stored, now) then
    if taken_off < MAX_STEP_EXPIRIES then
      local packed, lost = without_due(account_ids[n], stored, now)
      accounts[n], dirty_accounts[n] = packed or '', packed and true
      taken_off = taken_off + lost
      if lost > 0 then state_now = now end
    else
      is_deferred[n] = has_due(account_ids[n], stored, now)
      has_deferred = has_deferred or is_deferred[n]
    end
  end
end

end

