-- wrk script: every request records one observation on the next specimen; a specimen's k-th turn expects sequence k.
-- Arguments: file of codes, token, first turn (the sequence that each specimen stands at).
local codes, token, first, counter, offset = {}, "", 1, 0, 0
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  for line in io.lines(args[1]) do codes[#codes + 1] = line end
  token = args[2]
  first = tonumber(args[3])
  local stride = tonumber(args[4])
  offset = number
  step = stride
  headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
  run = args[5]
  bad = 0
end

function request()
  local index = counter * step + offset
  counter = counter + 1
  local code = codes[index % #codes + 1]
  local seq = first + math.floor(index / #codes)
  headers["Idempotency-Key"] = run .. "-" .. number .. "-" .. counter
  local body = '{"kind":"specimen.inspected","expected_seq":' .. seq ..
      ',"container_intact":true,"label_legible":true,"contents_as_expected":true}'
  return wrk.format("POST", "/api/v1/specimens/" .. code .. "/events", headers, body)
end

function response(status, _headers, body)
  if status ~= 201 then
    bad = bad + 1
    if bad == 1 then io.stderr:write(status .. " " .. body .. "\n") end
  end
end

function done(summary, latency, _requests)
  io.write(string.format('{"requests":%d,"bad":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.errors.status, summary.duration, latency:percentile(50), latency:percentile(99)))
end
