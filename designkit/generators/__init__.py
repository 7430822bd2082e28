"""One protocol for everything that draws, and one file for each family of models."""
