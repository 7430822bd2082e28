"""Our own networks, and where their tensors live."""
