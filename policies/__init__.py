"""The law: which requests may be answered from cache, for how long, for whom, and what makes an answer old.

Two rules. Everything here is pure: values in, values out; no I/O, clock, logging, asyncio, aiohttp or redis.
Nothing here imports from proxy/.
"""
