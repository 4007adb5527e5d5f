"""The servers that benchmarks/serving.py measures, as small as their own documentation has them."""
