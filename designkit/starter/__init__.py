"""The model that designkit ships, and the scene renderer that it was trained on."""
