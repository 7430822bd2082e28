"""A run folder as pictures that people look at: the contact sheet and the page."""
