"""MetaWorld's MT50: one Sawyer arm at one table, fifty things to do; simulator, scripted experts."""
