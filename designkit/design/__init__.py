"""Formats, brands, layout and text of finished designs, drawn with Pillow alone."""
