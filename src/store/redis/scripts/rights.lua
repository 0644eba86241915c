-- Does what the other scripts do, to no effect. ARGV: channel, instance.
-- Returns the command that the user has no right to, or ''.

local hash, sorted, channel, instance = KEYS[18], KEYS[13], ARGV[1], ARGV[2]

local commands = {
  { 'TIME' },
  { 'HSET', hash, '', 0 },
  { 'HINCRBY', hash, '', 0 },
  { 'HGET', hash, '' },
  { 'HMGET', hash, '' },
  { 'HDEL', hash, '' },
  { 'ZADD', sorted, 'XX', 0, '' },
  { 'ZREM', sorted, '' },
  { 'ZSCORE', sorted, '' },
  { 'ZRANGE', sorted, 0, 0 },
  { 'ZRANGEBYSCORE', sorted, 0, 0 },
  { 'ZRANGEBYLEX', sorted, '-', '-' },
  { 'ZREVRANGEBYLEX', sorted, '-', '-' },
  { 'PUBLISH', channel, instance },
}

-- What is refused for another reason, such as want of memory, is no matter of rights.
local function is_refused(answer)
  local why = type(answer) == 'table' and answer.err
  return why and (why:find('NOPERM', 1, true) or why:find('The user executing the script', 1, true)
    or why:find('ACL failure', 1, true))
end

for _, command in ipairs(commands) do
  if is_refused(redis.pcall(unpack(command))) then return command[1] end
end
return ''
