"""The positive control: tasks of LIBERO whose goal moves at a velocity that no single picture shows."""
