-- Records with the time at which they were read. ARGV: ids.

return { redis.call('TIME'), redis.call('HMGET', KEYS[1], unpack(ARGV)) }
