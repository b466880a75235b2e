#!lua flags=no-writes
-- What the user may not do of what tollgate does: commands, with the key if it is a matter of keys; and what only announcements need.
-- ARGV: the channel of a partition, and keys of the store. No keys are declared, so that this runs whatever keys the user may touch.
local channel, key, refused, silenced = ARGV[1], ARGV[2], {}, {}

local function check(commands, found)
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then found[#found + 1] = command[1] end
  end
end

check({
  { 'EVALSHA', '', '0' }, { 'INFO' }, { 'TIME' },
  { 'GET', key }, { 'SET', key, '' }, { 'MGET', key }, { 'EXISTS', key }, { 'DEL', key }, { 'UNLINK', key }, { 'RENAME', key, key },
  { 'HGET', key, '' }, { 'HMGET', key, '' }, { 'HLEN', key }, { 'HSCAN', key, '0' }, { 'HSET', key, '', '' }, { 'HDEL', key, '' },
  { 'XADD', key, '*', '', '' }, { 'XRANGE', key, '-', '+' }, { 'XREVRANGE', key, '+', '-' }, { 'XTRIM', key, 'MINID', '0' },
  { 'ZADD', key, '0', '' }, { 'ZREM', key, '' }, { 'ZRANGE', key, '0', '0' }, { 'ZRANGEBYLEX', key, '-', '+' },
  { 'ZRANGEBYSCORE', key, '0', '0' },
}, refused)
if #refused == 0 then
  for i = 3, #ARGV do
    if not (redis.acl_check_cmd('GET', ARGV[i]) and redis.acl_check_cmd('SET', ARGV[i], '')) then
      refused[#refused + 1] = 'GET and SET of ' .. ARGV[i]
    end
  end
end
check({ { 'SPUBLISH', channel, '' }, { 'SSUBSCRIBE', channel }, { 'PING' } }, silenced)
return { refused, silenced }
