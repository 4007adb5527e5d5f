"""Commands, a file for each group; run.py adds them."""
