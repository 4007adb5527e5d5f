"""Is the model in service still good? What came since the last check, beside what it was promoted on."""
