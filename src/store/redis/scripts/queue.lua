-- The queue, and the leases under which operations run.
-- Of each lane, which is an owner's use of a route, the oldest comes first. The lanes take turns.

local function lane_of(o)
  local route = terms_of(o.terms).route
  return pack('>I4c0I2c0', #o.owner, o.owner, #route, route)
end

local function oldest(lane, limit)
  return call('ZRANGEBYLEX', queue, '[' .. lane, '(' .. lane .. '\255', 'LIMIT', 0, limit)
end

local function last_in_turn(lane)
  put(lanes, lane, next_number('turn'))
end

-- Lanes into which something was put, and those from which something was taken.
local filled, drawn = {}, {}

local function enqueue(o)
  local lane = lane_of(o)
  if not filled[lane] and #oldest(lane, 1) == 0 then last_in_turn(lane) end
  filled[lane] = true
  put(queue, lane .. pack('>I8', o.seq) .. o.id, '0')
  queued_some = true
end

local function dequeue(o)
  local lane = lane_of(o)
  if put_into[queue] or put_into[delayed] then settle() end
  drawn[lane] = true
  drop(queue, lane .. pack('>I8', o.seq) .. o.id)
  drop(delayed, o.id)
end

after_writing[#after_writing + 1] = function()
  for lane in pairs(drawn) do
    if #oldest(lane, 1) == 0 then call('ZREM', lanes, lane) end
  end
end

local opened = {}

local function is_open(lease)
  if opened[lease] == nil then
    local till = call('ZSCORE', leases, lease)
    opened[lease] = till and tonumber(till) > now
  end
  return opened[lease]
end

local function holding(o)
  return pack('>I8', o.lease) .. o.id
end

local function held_under(lease, limit)
  local from, to = '[' .. pack('>I8', lease), '(' .. pack('>I8', lease + 1)
  return call('ZRANGEBYLEX', held, from, to, 'LIMIT', 0, limit)
end

local function hold(o, lease)
  o.lease = lease
  put(held, holding(o), '0')
end

local function let_go(o)
  if o.lease > 0 then drop(held, holding(o)) end
  o.lease, o.claim = 0, 0
end

