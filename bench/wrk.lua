-- The requests that bench/load.py lets wrk send, and the report at the end: one line of JSON.
-- The arguments are the beginning of the keys and the body.

local count, before, after = 0, nil, nil

function init(arguments)
   local key = "{key}"
   wrk.headers["Idempotency-Key"] = key
   local request = wrk.format("POST", nil, nil, arguments[2])
   local from, to = request:find(key, 1, true)
   before = request:sub(1, from - 1) .. arguments[1] .. "-"
   after = request:sub(to + 1)
end

function request()
   count = count + 1
   return before .. count .. after
end

function done(summary, latency)
   local refused = summary.errors.status
   io.write(string.format(
      '{"seconds": %f, "requests": %d, "accepted": %d, "refused": %d, "p50_ms": %f, "p99_ms": %f, "cpu_seconds": %f}\n',
      summary.duration / 1e6, summary.requests, summary.requests - refused, refused,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, os.clock()))
end
