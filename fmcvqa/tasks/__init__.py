"""One module per command; each only composes what the other packages do, and prints."""
