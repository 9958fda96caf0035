"""Small transformers that imitate from a frame's latents, with and without a prediction of the world to come."""
