"""How do results get to others, and back? Repositories of the Hugging Face hub, their cards, other evaluation formats.

What is published is what was sealed: a repository holds the files of sealed stages and says of each where it lies, so
another results tree can take the stages up again under their keys.
"""
