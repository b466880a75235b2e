-- --------------------------------------------------------------------------------------------- load what every command touches

-- Accounts stay packed: each command unpacks its own copy, and an accepted one packs it again. Idle is a command without an entry.
local requests, request_keys
local entries, entry_count, idle = {}, 0, nil
local request_writes, request_write_count = {}, 0
local runs, run_lengths, run_count = {}, {}, 0
local out = { has_deferred and 2 or 0, now, first_sequence, sequence, '', '' }

if request_count > 0 then
  request_keys = { unpack_struct(rep('c16', request_count), batch, keys_at) }
  request_keys[request_count + 1] = nil
  requests = call('HMGET', younger_requests, unpack(request_keys))
  if has_older == 1 then
    local older = call('HMGET', older_requests, unpack(request_keys))
    for i = 1, request_count do
      if not requests[i] then requests[i] = older[i] end
    end
  end
else
  requests = {}
end

-- The command that is being decided: its columns. `place` is its own, from 0 on, and the place of what its entries end with.
local kind, request, fingerprint, mantissa, scale, option, place
