-- An owner's operations, newest first.
-- ARGV: ..., owner, state or '', the place to go on after or '', limit, how many to look at.
-- Returns the time, the place to go on after where there may be more, and the operations.

local owner, state, after = owner_field(ARGV[3]), ARGV[4], ARGV[5]
local limit, look_at = tonumber(ARGV[6]), tonumber(ARGV[7])

local PAGES = 2 + math.ceil(look_at / ON_A_PAGE)

-- As many entries as are to be looked at and one more, newest first, as far as the pages have them; and whether those
-- were all.
local function entries_before(place)
  local newest = '(' .. owner .. (place == '' and '\255' or place)
  local pages = call('ZREVRANGEBYLEX', owned, newest, '[' .. owner, 'LIMIT', 0, PAGES)
  local entries = {}
  for number, page in ipairs(pages) do
    local on_it, is_whole = entries_of(page, owner), number > 1 or place == ''
    for at = #on_it, 1, -1 do
      if #entries <= look_at and (is_whole or before(on_it[at], place)) then entries[#entries + 1] = on_it[at] end
    end
  end
  return entries, #pages < PAGES
end

local entries, are_all = entries_before(after)
local listed, found, bytes = { now, are_all and '' or entries[#entries] }, 0, 0
for at, entry in ipairs(entries) do
  if found == limit or at > look_at or bytes > 1048576 then
    listed[2] = entries[at - 1] or after
    break
  end
  local id = entry:sub(-16)
  local record = call('HGET', operations, id)
  local o = record and decode(id, record)
  if o and not expired(o) and (state == '' or STATES[o.state] == state) then
    found, bytes = found + 1, bytes + #record
    listed[#listed + 1] = id
    listed[#listed + 1] = record
  end
end
return listed
