-- Queues again what a claim began whose answer never came. ARGV: ..., lease, claim, limit.
-- Returns whether there may be more.

local lease, claim, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local given = 0
for _, member in ipairs(held_under(lease, -1)) do
  local o = find(member:sub(-16))
  if o and o.state == RUNNING and o.claim == claim then
    hand_back(o)
    given = given + 1
    if given == limit then break end
  end
end
finish_script()
return given == limit and 1 or 0
