"""How long will this green taxi trip take? Regression on real trips of New York City."""
