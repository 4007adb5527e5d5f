"""Would this passenger of the Titanic have survived? And the data of the hello world."""
