-- KEYS: claim. ARGV: what land() needs.
land(KEYS[1], unpack(ARGV))
