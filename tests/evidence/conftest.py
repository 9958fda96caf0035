from hypothesis import settings

# A first call compiles or imports for longer than hypothesis' 200 ms, the more so beside other load.
settings.register_profile("evidence", deadline=None)
settings.load_profile("evidence")
