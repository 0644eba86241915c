-- Opens a lease, or prolongs one. ARGV: ..., lease ('' for a new one), length, then the operation and the number of
-- each attempt, which is held under it from now on. Returns the lease and which of the attempts run no longer.

local lease, length = ARGV[3], tonumber(ARGV[4])

if lease == '' then
  -- Names come from the clock, so that they are new even where the store has lost its memory.
  lease = math.max(micros, 1 + (tonumber(call('HGET', counts, 'lease') or 0)))
  call('HSET', counts, 'lease', lease)
  call('HSET', lengths, lease, length)
elseif not is_open(lease) then
  return { 'lease-over' }
end
call('ZADD', leases, now + call('HGET', lengths, lease), lease)

lease = tonumber(lease)
local answer = { 'open', lease }
for at = 5, #ARGV, 2 do
  local o = running(ARGV[at], tonumber(ARGV[at + 1]))
  if not o then
    answer[#answer + 1] = (at - 5) / 2
  elseif o.lease ~= lease then
    let_go(o)
    hold(o, lease)
    save(o)
  end
end
return answer
