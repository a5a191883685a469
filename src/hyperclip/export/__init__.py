"""From trained PyTorch models to model folders (needs PyTorch)."""
