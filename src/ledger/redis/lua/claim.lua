#!lua
-- Empties a partition for a restoration, unless a later one has it. Returns whether it did. KEYS: the partition's settings, its keys. ARGV:
-- what it says of itself from now on, the restoration's number.
local found = redis.call('GET', KEYS[1])
local restoration = found and cjson.decode(found).restoration
if restoration and restoration.number > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
for place = 2, #KEYS do redis.call('UNLINK', KEYS[place]) end
return 1
