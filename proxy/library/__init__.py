"""The cache as a library. Its front is proxy.service; docs/library.md tells how to use it.

What an operation does is written once, as steps (operations.py). Two thin shells take the steps, one by blocking and
one by awaiting, over Redis or over this process's memory.
"""
