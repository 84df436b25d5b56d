-- wrk: the same POST on every connection (no Lua runs per request), the result as one JSON line.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()

dofile(os.getenv("BENCH_LIB") .. "/result.lua")
