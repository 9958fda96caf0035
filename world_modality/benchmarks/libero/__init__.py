"""LIBERO behind the simulator contract: its assets, its simulator, and a scripted expert that solves libero_spatial."""
