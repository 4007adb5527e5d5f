"""Rows into the project's database, and out of it: sources, the contract at the door, batches, sinks."""
