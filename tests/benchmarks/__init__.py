"""Benchmarks of symlow beside programs written by hand: ``python -m tests.benchmarks``. No tests."""
