# `make demo` and `make test` set everything up themselves; a second run starts in seconds.
CORES ?= $(shell nproc)
SHELL := bash
PY := .venv/bin/python
WM := .venv/bin/wm

.PHONY: demo test test-slurm chaos lint setup lock format fingerprint bench-training bench-rollouts bench-parity bench-evidence bench-report bench-arithmetic bench-checks bench-step bench-pictures bench-starts bench-expert bench-moving bench-latents bench-vq bench-scale bench-planning bench-prophet embedded-encoder
setup:
	@envs/bootstrap.sh

demo: setup
	@$(WM) run --study config.yaml --cores $(CORES)

# One process more than there are cores: a third of the time tests wait for processes that they started.
test: lint
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $$(($(CORES) + 1)) --dist loadfile

# Whole studies on a SLURM of two nodes on this machine, which it installs if root: a node and the controller die.
test-slurm: setup
	@envs/slurm.sh
	@OMP_NUM_THREADS=1 PATH="$$PATH:/usr/sbin:/sbin" $(PY) -m pytest -q -m slurm tests/slurm

# A small whole study under random faults, compared with one that nothing happened to (about an hour): FAULTS=200 SEED=0.
# As root, the results lie on a small file system of their own, which runs full and becomes read-only.
chaos: setup
	@PYTHONPATH=tests:. $(PY) -m chaos.chaos --faults $(or $(FAULTS),200) --seed $(or $(SEED),0) $(if $(FOLDER),--folder $(FOLDER))

# Step time and peak memory of E0, E1, E2 and plain lerobot-train on the embedded data, which it makes if it is not there.
bench-training: setup
	@.venv/bin/snakemake --cores $(CORES) latents
	@PYTHONPATH=tests $(PY) -m bench.bench_overhead

# Episodes per hour of lerobot-eval and of ours on the demo study's first checkpoint, which it makes if it is not there:
# SUITES="libero_spatial libero_goal" EPISODES=20 ROUNDS=2; a round of both is 40 minutes by docs/figures.md.
bench-rollouts: setup
	@.venv/bin/snakemake --cores $(CORES) train
	@PYTHONPATH=tests $(PY) -m bench.bench_rollouts $(if $(SUITES),--suites $(SUITES)) $(if $(EPISODES),--episodes $(EPISODES)) $(if $(ROUNDS),--rounds $(ROUNDS))

# The same episodes by lerobot-eval and by ours, an ACT's and a SmolVLA's; makes the demo's dataset if it is not there.
bench-parity: setup
	@.venv/bin/snakemake --cores $(CORES) data
	@PYTHONPATH=tests $(PY) -m bench.bench_parity

# What `wm check` finds in the demo's results, healthy and spoilt, and how long it takes; it makes them if they are not there.
bench-checks: setup
	@.venv/bin/snakemake --cores $(CORES) train
	@PYTHONPATH=tests $(PY) -m bench.bench_checks

# What portable arithmetic costs, in a training step and in a rollout.
bench-arithmetic: setup
	@PYTHONPATH=tests $(PY) tests/bench/bench_arithmetic.py

# What a control step of a LIBERO simulator costs beside MuJoCo's own share of it, a task of four suites each.
# EPISODES=20 plays so many of every task both ways, quick and exact, and compares how they end (an hour).
bench-step: setup
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_step $(if $(ASSETS),--assets $(ASSETS)) $(if $(EPISODES),--episodes $(EPISODES))

# How often the scripted expert solves each task: SUITE=libero_goal ASSETS=FOLDER INIT_STATES=0-9, without pictures.
bench-expert: setup
	@PYTHONPATH=tests $(PY) -m bench.bench_expert --suite $(or $(SUITE),libero_spatial) $(if $(ASSETS),--assets $(ASSETS)) --init-states $(or $(INIT_STATES),0-9)

# Whether goals that move can be reached only by who knows their velocity: scripted agents, told or shown a picture per
# chunk; exit 1 if the gap is not there. INIT_STATES=0-24 REPEATS=1 AGENTS=told,still
bench-moving: setup
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_moving $(if $(INIT_STATES),--init-states $(INIT_STATES)) $(if $(REPEATS),--repeats $(REPEATS)) $(if $(AGENTS),--agents $(AGENTS))

# What LIBERO's own pictures cost, beside pictures of which MuJoCo draws what no pixel shows, too: SUITES="libero_goal".
bench-pictures: setup
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_pictures $(SUITES)

# Whether every task of LIBERO-PRO's sixteen suites loads, resets and steps, or of SUITES="libero_90 libero_10".
bench-starts: setup
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_starts $(SUITES)

# Frames per second of the latents stage beside the bare encoder and a loop over LeRobot's dataset, and its peak memory.
# DATASET=FOLDER of a small LeRobotDataset with a camera named image; it makes one of videos otherwise.
# ENCODER=NAME BATCH=32 DTYPE=bfloat16 measure that encoder instead of the two that it makes.
bench-latents: setup
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_latents --cores $(CORES) $(if $(DATASET),--dataset $(DATASET)) $(if $(ENCODER),--encoder $(ENCODER)) $(if $(BATCH),--batch $(BATCH)) $(if $(DTYPE),--dtype $(DTYPE))

# Time of planning and looking at a study of 1,600, 3,200 and 6,400 rollout stages: SEEDS="2 4 8". Exit status 1 if a target is missed.
bench-planning: setup
	@PYTHONPATH=tests $(PY) -m bench.bench_planning $(if $(SEEDS),--seeds $(SEEDS))

# Time and inertia of a codebook beside scikit-learn's KMeans and MiniBatchKMeans: ROWS=273000 DIM=768 SIZE=1024. Exit status 1 if a target is missed.
bench-vq: setup
	@PYTHONPATH=tests $(PY) -m bench.bench_vq --rows $(or $(ROWS),273000) --dim $(or $(DIM),768) --size $(or $(SIZE),1024) $(if $(SKLEARN_ROWS),--sklearn-rows $(SKLEARN_ROWS))

# A Prophet that is trained by itself beside ridge regression, on the demo's dataset for every small encoder and on
# bouncing balls: ENCODERS="vjepa2-small" SEEDS="0 1 2". Exit status 1 if a target is missed.
bench-prophet: setup
	@.venv/bin/snakemake --cores $(CORES) data
	@PYTHONPATH=tests $(PY) -m bench.bench_prophet --cores $(CORES) $(if $(ENCODERS),--encoders $(ENCODERS)) $(if $(SEEDS),--seeds $(SEEDS))

# How many helpers one results folder bears (docs/scale.md): WORKERS="16 128 1000" EPISODES=400000 SERVER=5000 operations per second.
bench-scale: setup
	@OMP_NUM_THREADS=1 PYTHONHASHSEED=0 PYTHONPATH=tests $(PY) -m bench.bench_scale $(if $(WORKERS),--workers $(WORKERS)) $(if $(EPISODES),--episodes $(EPISODES)) $(if $(SERVER),--server $(SERVER))

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/snakefmt --check Snakefile workflow/Snakefile rules
	@.venv/bin/snakemake --lint

# Error rates of every test and interval on simulated studies (docs/calibration.md), and what stopping early saves
# (docs/evidence.md); writes nothing. Exit status 1 if stopping early finds more than it may where nothing is true.
bench-evidence: setup
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_sequential $(if $(STUDIES),--studies $(STUDIES))
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m bench.bench_calibration $(if $(STUDIES),--studies $(STUDIES))

# Time and memory of the report of a million records, invented into a temporary folder.
bench-report: setup
	@$(PY) tests/bench/bench_report.py

# Films LIBERO's scenes, trains the package's encoder on them, probes it beside random ones and, if it beats them, puts it
# into the package (hours; docs/pretraining.md): RECIPE=FILE.yaml, EXPORT=no. What is sealed stays, and what was begun goes on.
embedded-encoder: setup
	@OMP_NUM_THREADS=1 $(PY) -m workflow.tools.embedded_encoder --cores $(CORES) $(if $(RECIPE),--recipe $(RECIPE)) $(if $(EXPORT),--no-export)

# Proves that a refactoring changes no number: OUTPUT=FILE.json here and on the parent, then COMPARE="PARENT.json FILE.json".
# QUICK=1 takes three arms instead of every memory mode in every fusion.
fingerprint: setup
	@PYTHONPATH=tests $(PY) -m fingerprint $(if $(COMPARE),--compare $(COMPARE),--output $(or $(OUTPUT),outputs/fingerprint.json) $(if $(QUICK),--quick))

format: setup
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .
	@.venv/bin/snakefmt Snakefile workflow/Snakefile rules

# After editing envs/*.in: resolves and hashes anew. No index address is written.
LOCK := .venv/bin/uv pip compile --python-version 3.12 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q
lock: setup
	$(LOCK) envs/uv.in -o envs/uv.txt
	$(LOCK) --constraint envs/uv.txt --override envs/overrides.txt envs/requirements.in -o envs/requirements.txt
