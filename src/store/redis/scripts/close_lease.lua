-- Ends a lease. What runs under it is swept. ARGV: ..., lease.

if call('ZSCORE', leases, ARGV[3]) then put(leases, ARGV[3], 0) end
finish_script()
