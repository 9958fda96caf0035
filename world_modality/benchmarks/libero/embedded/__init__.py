"""Stand-ins for LIBERO's assets: what each libero_spatial object is made of, in primitives written for this project.

``assets/`` is the tree hf-libero reads, written by ``python -m world_modality.benchmarks.libero.embedded.build``.
Dimensions, friction and joint ranges agree with LIBERO's objects as far as its BDDL files and init states need; shapes,
colours and textures are this project's own.
"""
