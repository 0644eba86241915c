-- Ends a lease. What runs under it is swept. ARGV: ..., lease.

if call('ZSCORE', leases, ARGV[3]) then call('ZADD', leases, 0, ARGV[3]) end
