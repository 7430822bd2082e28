"""The run folder on the disk: pictures, manifest and what is needed to make them again."""
