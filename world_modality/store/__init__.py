"""Where results live: content-addressed folders, sealed once, locked while they are made, verifiable afterwards.

Nothing here imports more than the standard library, pydantic and psutil, but for the hub's client once a repository is
asked for, and nothing knows what a stage computes.
"""
