-- Begins a draft, whose pieces follow. ARGV: ..., draft.

call('ZADD', drafts, now, ARGV[3])
