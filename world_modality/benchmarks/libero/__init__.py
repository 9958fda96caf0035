"""What the world is made of: LIBERO's assets, its environment, and a scripted expert that solves it."""
