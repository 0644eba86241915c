-- Opens a lease, or prolongs one. ARGV: ..., lease ('' for a new one), length, then the operation and the number of
-- each attempt, which is held under it from now on. Returns the lease and which of the attempts run no longer.

local lease, length = ARGV[3], tonumber(ARGV[4])

if lease == '' then
  -- Names come from the clock, so that they are new even where the store has lost its memory.
  lease = math.max(micros, 1 + (call('HGET', counts, 'lease') or 0))
  put(counts, 'lease', lease)
  put(lengths, lease, length)
elseif is_open(lease) then
  length = call('HGET', lengths, lease)
else
  return { 'lease-over' }
end
put(leases, lease, now + length)

lease = tonumber(lease)
local answer, ids = { 'open', lease }, {}
for at = 5, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
look_up(ids)
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
finish_script()
return answer
