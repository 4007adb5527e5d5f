"""Commands, by what they are about; run.py puts them together."""
