"""For all tests: property-based ones try the same examples every time, on every machine."""

from hypothesis import settings

settings.register_profile("tom", derandomize=True, database=None, deadline=None)
settings.load_profile("tom")
