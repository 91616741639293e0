-- A request waits here while the map's deadline is to come, and goes on by itself when it has passed.
local map = Map.new("/var/lib/rmu/hold.map", Map._str)

core.register_action("hold", { "http-req" }, function()
  for _ = 1, 1200 do -- 30 s, whatever becomes of the clock
    local left = tonumber(map:lookup("until") or 0) - os.time()
    -- A deadline further away than a hold may last was written under another clock.
    if left <= 0 or left > 30 then return end
    core.msleep(25) -- 500 that wait cost 6 % of a core
  end
end)
