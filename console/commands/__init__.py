"""Commands by what they are about, a module each: what a person types; the work is done elsewhere."""
