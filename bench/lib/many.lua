-- wrk: POSTs that differ, one after the other in the order of a file: a body a line, then, behind an
-- empty line, numbers of lines in the order in which they are sent. Requests are made up before.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
local requests, order, at = {}, {}, 0
local headers = { ["Content-Type"] = "application/json" }
local path = os.getenv("BENCH_PATH")

function init()
  for line in file:lines() do
    if line == "" then break end
    requests[#requests + 1] = wrk.format("POST", path, headers, line)
  end
  for number in file:lines() do order[#order + 1] = tonumber(number) end
  file:close()
  -- Each thread begins somewhere else.
  math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)") or "1", 16) % 65536)
  at = math.random(#order)
end

function request()
  at = at % #order + 1
  return requests[order[at]]
end

dofile(os.getenv("BENCH_LIB") .. "/result.lua")
