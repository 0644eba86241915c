-- An owner's operations, newest first. ARGV: ..., owner, state or '', the place to go on after or '', limit, how many to look at.
-- Returns the time, the place to go on after where there may be more, and the operations.

local owner, state, after = ARGV[3], ARGV[4], ARGV[5]
local limit, look_at = tonumber(ARGV[6]), tonumber(ARGV[7])

local prefix = pack('>I4c0', #owner, owner)
local newest = '(' .. prefix .. (after == '' and '\255' or after)
local members = call('ZREVRANGEBYLEX', owned, newest, '[' .. prefix, 'LIMIT', 0, look_at + 1)
local listed, found, bytes = { now, '' }, 0, 0
for at, member in ipairs(members) do
  if found == limit or at > look_at or bytes > 1048576 then
    listed[2] = members[at - 1] and members[at - 1]:sub(-22) or after
    break
  end
  local id = member:sub(-16)
  local record = call('HGET', operations, id)
  local o = record and decode(id, record)
  if o and not expired(o) and (state == '' or STATES[o.state] == state) then
    found, bytes = found + 1, bytes + #record
    listed[#listed + 1] = id
    listed[#listed + 1] = record
  end
end
return listed
