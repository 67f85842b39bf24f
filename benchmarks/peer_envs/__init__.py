"""Programs that run other people's environments and learners, each by their own Python.

They find the folder of the benchmarks and none of our packages, so they import `measure.timing`
from there, which needs nothing but the standard library, and print one line of JSON.
"""
