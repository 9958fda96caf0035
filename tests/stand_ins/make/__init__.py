"""Writes the stand-ins: what each libero_spatial object is made of, in primitives written for this project.

``tests/stand_ins/assets/`` is the tree hf-libero reads; ``PYTHONPATH=tests python -m stand_ins.make`` writes it.
Dimensions, friction and joint ranges agree with LIBERO's objects as far as its BDDL files and init states need; shapes,
colours and textures are this project's own.
"""
