-- Begins the next attempts of what is queued. ARGV: ..., lease, claim, limit, bytes.

local lease, claim, limit, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

if not is_open(ARGV[3]) then return { 'lease-over' } end

local ripe = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
look_up(ripe)
for _, id in ipairs(ripe) do
  drop(delayed, id)
  local o = find(id)
  if o then enqueue(o) end
end
settle()
queued_some = false

-- The bytes that the claimant has to read, of which a piece has a MiB.
local function weight(request)
  local draft = draft_of(request)
  return draft and unpack_fields('>I4', draft:sub(17)) * 1048576 or #request
end

local claimed = { 'claimed' }

local function begin(o, request)
  o.attempt, o.claim, o.rest = o.attempt + 1, claim, ''
  hold(o, lease)
  set_out(o)
  move(o, RUNNING)
  save(o)
  bytes = bytes - weight(request)
  claimed[#claimed + 1] = { o.id, o.attempt, o.owner, o.terms, o.created, request }
end

-- What is first in each of these lanes, then what is second, and so on, each with its lane and whether more follows.
local function in_their_turns(in_turn, room)
  local waiting, places = {}, {}
  local each = math.ceil(room / #in_turn)
  for number, lane in ipairs(in_turn) do
    waiting[number] = oldest(lane, each + 1)
    if #waiting[number] == 0 then drop(lanes, lane) end
  end
  for round = 1, each do
    for number, lane in ipairs(in_turn) do
      local place = waiting[number][round]
      if place and #places < room then
        places[#places + 1] = { lane = lane, place = place, id = place:sub(-16), more = waiting[number][round + 1] }
      end
    end
  end
  return places
end

-- Lets the lanes have a turn each, or several. Returns whether there was any.
local function take_turns(room)
  local in_turn = call('ZRANGE', lanes, 0, room - 1)
  if #in_turn == 0 then return false end
  local places, ids = in_their_turns(in_turn, room), {}
  for at, place in ipairs(places) do ids[at] = place.id end
  look_up(ids)
  local kept = #ids > 0 and call('HMGET', requests, unpack(ids))
  local turns = {}
  for at, place in ipairs(places) do
    if bytes <= 0 then break end
    local o = find(place.id)
    drop(queue, place.place)
    turns[place.lane] = place.more and next_number('turn') or false
    if o and o.state == QUEUED then begin(o, kept[at]) end
  end
  for lane, turn in pairs(turns) do
    if turn then put(lanes, lane, turn) else drop(lanes, lane) end
  end
  settle()
  return true
end

while #claimed <= limit and bytes > 0 and take_turns(limit + 1 - #claimed) do end
finish_script()
return claimed
