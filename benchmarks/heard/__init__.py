"""Does the mouth know which words the caller heard? See docs/benchmarks.md."""
