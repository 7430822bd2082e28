"""One loop that trains every family, and one recipe file for each method."""
