"""Stand-ins for LIBERO's assets: what each libero_spatial object is made of, in primitives written for this project.

``world_modality/benchmarks/libero/embedded/assets/`` is the tree hf-libero reads, written by
``python -m workflow.tools.embedded_assets``.
Dimensions, friction and joint ranges agree with LIBERO's objects as far as its BDDL files and init states need; shapes,
colours and textures are this project's own.
"""
