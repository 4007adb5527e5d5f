-- Requests for wrk, made before anything is timed: one for each file 1, 2, 3 … of the folder BODIES.
-- At the end it prints what it counted as one line of JSON.
local requests, at = {}, 0

function init(args)
  local headers = { ["Content-Type"] = os.getenv("CONTENT_TYPE") or "application/json" }
  if os.getenv("AUTHORIZATION") then
    headers["Authorization"] = os.getenv("AUTHORIZATION")
  end
  for name, value in pairs(wrk.headers) do
    headers[name] = value
  end
  local file = io.open(os.getenv("BODIES") .. "/1", "rb")
  while file do
    requests[#requests + 1] = wrk.format("POST", wrk.path, headers, file:read("*a"))
    file:close()
    file = io.open(os.getenv("BODIES") .. "/" .. (#requests + 1), "rb")
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
