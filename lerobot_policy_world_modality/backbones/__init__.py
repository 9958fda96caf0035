"""Which backbones come with the package, and how were they made? Each folder holds config and processor, no weights."""
