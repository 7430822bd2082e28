"""One training recipe for each method."""
