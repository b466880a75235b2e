#!lua
-- What a step and the sweep call.

local call, pack, unpack_struct, unpack, format, sub, byte, char, find, floor, concat, rep = redis.call, struct.pack, struct.unpack, unpack,
  string.format, string.sub, string.byte, string.char, string.find, math.floor, table.concat, string.rep
