-- What an owner has, on pages: each is a member of one sorted set, which is the owner and then entries in their order,
-- of 22 bytes: the time of creation and the id. A member of its own for each would take six times the room.

local ENTRY, ON_A_PAGE = 22, 32

-- By their bytes, as the server compares members. (For `<`, it is the server's locale that counts.)
local function before(a, b)
  local time_a, id_a, at = unpack_fields('>I6I6', a)
  local time_b, id_b = unpack_fields('>I6I6', b)
  if time_a ~= time_b then return time_a < time_b end
  if id_a ~= id_b then return id_a < id_b end
  local rest_a, last_a = unpack_fields('>I6I4', a, at)
  local rest_b, last_b = unpack_fields('>I6I4', b, at)
  if rest_a ~= rest_b then return rest_a < rest_b end
  return last_a < last_b
end

local function owner_field(owner)
  return pack('>I4c0', #owner, owner)
end

local function entry_of(o)
  return pack('>I6', o.created) .. o.id
end

local function entries_of(page, owner)
  local entries = {}
  for at = #owner + 1, #page, ENTRY do entries[#entries + 1] = page:sub(at, at + ENTRY - 1) end
  return entries
end

-- Of each owner, the entries that are to be there, and with false those that are to be gone.
local relisted = {}

local function list(o, is_listed)
  if o.owner == '' then return end
  local entries = relisted[o.owner] or {}
  relisted[o.owner] = entries
  entries[entry_of(o)] = is_listed
end

local function page_of(owner, entry)
  return call('ZREVRANGEBYLEX', owned, '(' .. owner .. entry .. '\255', '[' .. owner, 'LIMIT', 0, 1)[1]
end

local function page_after(owner, entry)
  return call('ZRANGEBYLEX', owned, '(' .. owner .. entry .. '\255', '(' .. owner .. '\255', 'LIMIT', 0, 1)[1]
end

-- Writes these entries, which are in their order, as pages.
local function write_pages(owner, entries)
  for at = 1, #entries, ON_A_PAGE do
    put(owned, owner .. table.concat(entries, '', at, math.min(#entries, at + ON_A_PAGE - 1)), '0')
  end
end

-- Does what concerns the page of the first of these changes, which are in their order. Returns the next change.
local function relist_page(owner, changes, first, is_listed)
  local page, following = page_of(owner, changes[first]), page_after(owner, changes[first])
  local bound = following and following:sub(#owner + 1, #owner + ENTRY)
  local entries, at = {}, first
  while changes[at] and not (bound and not before(changes[at], bound)) do
    if is_listed[changes[at]] then entries[#entries + 1] = changes[at] end
    at = at + 1
  end
  for _, entry in ipairs(page and entries_of(page, owner) or {}) do
    if is_listed[entry] == nil then entries[#entries + 1] = entry end
  end
  table.sort(entries, before)
  if page then drop(owned, page) end
  write_pages(owner, entries)
  return at
end

before_writing[#before_writing + 1] = function()
  for name, is_listed in pairs(relisted) do
    local owner, changes, at = owner_field(name), {}, 1
    for entry in pairs(is_listed) do changes[#changes + 1] = entry end
    table.sort(changes, before)
    while changes[at] do at = relist_page(owner, changes, at, is_listed) end
  end
end

