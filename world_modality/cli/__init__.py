"""The command line, and what the Snakefile asks: where studies, results and processes meet."""
