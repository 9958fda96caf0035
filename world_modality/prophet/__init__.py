"""How is a Prophet trained on latents alone, and how good are its predictions?"""
