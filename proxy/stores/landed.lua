-- KEYS: claim. ARGV: the token of the process; the channel on which waiters listen.
land(KEYS[1], ARGV[1], ARGV[2])
