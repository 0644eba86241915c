-- Sends the requests that a file lists, one after the other and over again. Each line has a method, a path and, where
-- the client has one, a preference.

local requests = {}
local sent = 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        local method, path, preference = line:match("^(%S+) (%S+) ?(%S*)$")
        local posts = method == "POST"
        local headers = {
            ["Host"] = wrk.headers["Host"],
            ["Accept"] = "application/json",
            ["Prefer"] = preference ~= "" and preference or nil,
            ["Content-Type"] = posts and "application/json" or nil,
        }
        requests[#requests + 1] = wrk.format(method, path, headers, posts and '{"scene":"teapot","tiles":10}' or nil)
    end
end

function request()
    sent = sent + 1
    return requests[(sent - 1) % #requests + 1]
end

function done(summary)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("requests=%d microseconds=%d failed=%d\n", summary.requests, summary.duration, failed))
end
