"""How is a small encoder trained on pictures of the simulators alone, and what do its latents tell of a scene?"""
