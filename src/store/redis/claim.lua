-- Begins the next attempts of what is queued. ARGV: ..., lease, claim, limit, bytes.

local lease, claim, limit, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

if not is_open(ARGV[3]) then return { 'lease-over' } end

for _, id in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)) do
  call('ZREM', delayed, id)
  local o = find(id)
  if o then enqueue(o) end
end
queued_some = false

local function next_in_turn()
  local lane = call('ZRANGE', lanes, 0, 0)[1]
  if not lane then return nil end
  local first = oldest(lane, 2)
  if first[1] then call('ZREM', queue, first[1]) end
  if first[2] then last_in_turn(lane) else call('ZREM', lanes, lane) end
  return first[1] and first[1]:sub(-16) or ''
end

-- The bytes that the claimant has to read, of which a piece has a MiB.
local function weight(request)
  local draft = draft_of(request)
  return draft and unpack_fields('>I4', draft:sub(17)) * 1048576 or #request
end

local claimed = { 'claimed' }
while #claimed <= limit and bytes > 0 do
  local id = next_in_turn()
  if not id then break end
  local o = find(id)
  if o and o.state == QUEUED then
    local request = call('HGET', requests, id)
    o.attempt, o.claim, o.rest = o.attempt + 1, claim, ''
    hold(o, lease)
    set_out(o)
    move(o, RUNNING)
    save(o)
    bytes = bytes - weight(request)
    claimed[#claimed + 1] = { id, o.attempt, o.owner, o.terms, o.created, request }
  end
end
finish_script()
return claimed
