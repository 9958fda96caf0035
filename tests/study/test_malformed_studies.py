"""Every malformed study gives one sentence: file, line, key, what is wrong, and what is allowed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.policies import POLICIES, PolicyShape
from world_modality.study.load import load_study

MODES = (
    "disabled, zero, learned, pred, oracle, oracle_policy, oracle_expert, scheduled, persistence, stale, shuffle, "
    "nearest_other, time_shuffle, random, standard_normal, random_scaled, signflip, aux_only"
)

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = {
    "unknown top-level key": (
        ("rollouts:\n", "roll_outs:\n"),
        "study.yaml:20: roll_outs: unknown key; did you mean rollouts? allowed here: study, results, suite, tasks, "
        "arithmetic, simulator, data, encoder, world, tokens, instructions, policy, pretrain, training, arms, "
        "rollouts, evidence",
    ),
    "unknown nested key": (
        ("prophet_layers: 2", "prophet_depth: 2"),
        "study.yaml:10: world.prophet_depth: unknown key; did you mean prophet_width? allowed here: context, "
        "prediction_horizon, heads, prophet_layers, prophet_width, prophet, prophet_rank, prophet_steps, step_weights, "
        "hypotheses, fusion, attention_width, delta, lambda_world, detach, truth_steps, gate_init, actions, align, "
        "align_weight, align_depth, align_tokens",
    ),
    "key of another source": (
        ("demonstrations: {per_task: 2, init_states: 0-9}", "repo_id: lerobot/libero"),
        "study.yaml:7: data.repo_id: unknown key; allowed here: source, suites, tasks, demonstrations, relabel, "
        "held_out",
    ),
    "missing memory mode": (
        ("memory: pred,", "memory: predicted,"),
        f"study.yaml:19: arms.E2.memory: 'predicted' is not a memory mode; choose one of {MODES}",
    ),
    "missing ablation mode": (
        ("[zero, random]", "[zero, noise]"),
        f"study.yaml:19: arms.E2.ablations[1]: 'noise' is not a memory mode; choose one of {MODES}",
    ),
    "the word off": (
        ("memory: disabled", "memory: off"),
        f"study.yaml:17: arms.E0.memory: 'off' is not a memory mode; choose one of {MODES} "
        "(no memory is written disabled)",
    ),
    "a boolean for a mode": (
        ("memory: disabled", "memory: false"),
        f"study.yaml:17: arms.E0.memory: false is not a memory mode; choose one of {MODES} "
        "(no memory is written disabled)",
    ),
    "wrong type": (
        ("steps: 10\n", "steps: many\n"),
        "study.yaml:13: training.steps: must be a whole number, not 'many'",
    ),
    "number as text": (
        ("batch_size: 2", 'batch_size: "2"'),
        "study.yaml:14: training.batch_size: must be a whole number, not '2'",
    ),
    "fraction for a count": (
        ("per_task: 2", "per_task: 2.5"),
        "study.yaml:7: data.demonstrations.per_task: must be a whole number, not 2.5",
    ),
    "value for a section": (
        ("world: {prophet: joint, prophet_layers: 2, prophet_width: 128, prediction_horizon: 8}", "world: 3"),
        "study.yaml:10: world: must hold keys of its own, not 3",
    ),
    "section is a list": (
        ("{memory: zero}", "[zero]"),
        'study.yaml:18: arms.E1: must hold keys of its own, not ["zero"]',
    ),
    "negative steps": (
        ("steps: 10\n", "steps: -5\n"),
        "study.yaml:13: training.steps: must be greater than 0, not -5",
    ),
    "share above one": (
        ("{per_task: 1, init_states: 0-9}", "{per_task: 1, init_states: 0-9, policy_share: 1.5}"),
        "study.yaml:8: data.relabel.policy_share: must be at most 1, not 1.5",
    ),
    "more than half held out": (
        ("  relabel: {per_task: 1, init_states: 0-9}", "  held_out: 0.6"),
        "study.yaml:8: data.held_out: must be at most 0.5, not 0.6",
    ),
    "less than nothing held out": (
        ("  relabel: {per_task: 1, init_states: 0-9}", "  held_out: -0.1"),
        "study.yaml:8: data.held_out: must be at least 0, not -0.1",
    ),
    "a fusion that comes before the noisy actions": (
        ("prediction_horizon: 8}", "prediction_horizon: 8, actions: true, fusion: prefix_cross}"),
        "study.yaml:10: world.fusion: 'prefix_cross' reads the memory before the noisy actions that world.actions "
        "tells the Prophet are there; choose another fusion, or set world.actions to false",
    ),
    "more frames ahead than actions to tell": (
        ("prediction_horizon: 8}", "prediction_horizon: 11, actions: true}"),
        "study.yaml:10: world.prediction_horizon: 11 exceeds the policy's chunk of 10 actions, which world.actions "
        "tells the Prophet; choose at most 10, or set world.actions to false",
    ),
    "unknown key of the evidence": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence: {margins: 0.05}\n"),
        "study.yaml:24: evidence.margins: unknown key; did you mean margin? allowed here: effect, margin, alpha, "
        "confidence, power, looks, spending, stop_early, noise, hours",
    ),
    "an alpha in percent": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence: {alpha: 5}\n"),
        "study.yaml:24: evidence.alpha: must be less than 0.5, not 5",
    ),
    "no margin": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence: {margin: 0}\n"),
        "study.yaml:24: evidence.margin: must be greater than 0, not 0",
    ),
    "an unknown spending of alpha": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence: {spending: even}\n"),
        "study.yaml:24: evidence.spending: 'even' is not allowed; choose one of obrien_fleming, pocock",
    ),
    "a belief that is no number": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence:\n  noise: {run_sd: two points}\n"),
        "study.yaml:25: evidence.noise.run_sd: must be a number, not 'two points'",
    ),
    "looks that do not ascend": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence: {looks: [2, 2]}\n"),
        "study.yaml:24: evidence.looks[1]: 2 does not come after 2; looks ascend",
    ),
    "a last look before the last seed": (
        ("  num_steps: 5\n", "  num_steps: 5\nevidence: {looks: [1]}\n"),
        "study.yaml:24: evidence.looks[0]: the last look is after 1 seeds, but every arm has 2; end with 2",
    ),
    "missing key": (
        ("{memory: zero}", "{}"),
        f"study.yaml:18: arms.E1: 'memory' is missing; choose one of {MODES}",
    ),
    "missing section": (
        ("policy: {source: scratch}\n", ""),
        "study.yaml:1: 'policy' is missing, and arms.E0 starts from it",
    ),
    "missing source": (
        ("policy: {source: scratch}", "policy: {name: smolvla-tiny}"),
        "study.yaml:11: policy: 'source' is missing; choose one of embedded, hub, folder, scratch, new",
    ),
    "unknown source": (
        ("policy: {source: scratch}", "policy: {source: web}"),
        "study.yaml:11: policy.source: 'web' is not a source; choose one of embedded, hub, folder, scratch, new",
    ),
    "hub without revision": (
        ("policy: {source: scratch}", "policy: {source: hub, repo_id: lerobot/smolvla_base}"),
        "study.yaml:11: policy: 'revision' is missing",
    ),
    "unknown suite": (
        ("suite: libero_spatial", "suite: libero_spacial"),
        "study.yaml:2: suite: 'libero_spacial' is not a benchmark suite; choose one of " + ", ".join(SUITES.names),
    ),
    "unknown suite among several": (
        ("suite: libero_spatial", "suite: [libero_spatial, libero]"),
        "study.yaml:2: suite: 'libero' is not a benchmark suite; choose one of " + ", ".join(SUITES.names),
    ),
    "no suite": (("suite: libero_spatial", "suite: []"), "study.yaml:2: suite: [] is no suite and no list of suites"),
    "a suite twice": (
        ("suite: libero_spatial", "suite: [libero_spatial, libero_spatial]"),
        "study.yaml:2: suite: names libero_spatial twice",
    ),
    "task out of range": (
        ("tasks: [0, 1]", "tasks: [0, 10]"),
        "study.yaml:3: tasks[1]: libero_spatial has no task 10; choose from 0-9",
    ),
    "tasks in words": (
        ("tasks: [0, 1]", "tasks: every"),
        "study.yaml:3: tasks: 'every' is not a list of task numbers; write all or a list such as [0, 1]",
    ),
    "unequal episode counts per arm": (
        ("episodes: 4", "episodes: {E0: 4, E2: 2}"),
        "study.yaml:22: rollouts.episodes: must be one whole number, because every arm and task gets the same episodes",
    ),
    "episodes inside an arm": (
        ("{memory: zero}", "{memory: zero, episodes: 2}"),
        "study.yaml:18: arms.E1.episodes: arms share how they are trained and evaluated; set episodes once for "
        "all of them, under rollouts",
    ),
    "unequal episode counts per initial state": (
        ("episodes: 4", "episodes: 6"),
        "study.yaml:22: rollouts.episodes: 6 episodes would visit some of the 4 initial states more often than "
        "others; choose at most 4, or a multiple of 4",
    ),
    "overlapping initial states": (
        ("init_states: 30-33", "init_states: 9-12"),
        "study.yaml:21: rollouts.init_states: initial state 9 is also in data.demonstrations.init_states; "
        "evaluate on held-out ones",
    ),
    "initial state out of range": (
        ("init_states: 30-33", "init_states: 48-52"),
        "study.yaml:21: rollouts.init_states: 50 is not an initial state of libero_spatial; choose from 0-49",
    ),
    "backward range": (
        ("init_states: 30-33", "init_states: 33-30"),
        "study.yaml:21: rollouts.init_states: '33-30' is not a range such as 0-29 or a list of numbers",
    ),
    "rollouts that draw their scenes": (
        ("init_states: 30-33", "init_states: sampled"),
        "study.yaml:21: rollouts.init_states: 'sampled' is not a range such as 0-29 or a list of numbers",
    ),
    "duplicate seeds": (
        ("seeds: [0, 1]", "seeds: [0, 1, 0]"),
        "study.yaml:15: training.seeds[2]: seed 0 is given twice",
    ),
    "the old key for a camera": (
        ("image_size: 64}", "image_size: 64, camera: image2}"),
        "study.yaml:9: encoder.camera: unknown key; did you mean cameras? allowed here: kind, frames, image_size, "
        "cameras, pooling, dtype, batch, latents, source, name, seed",
    ),
    "an unknown camera": (
        ("image_size: 64}", "image_size: 64, cameras: [image, wrist]}"),
        "study.yaml:9: encoder.cameras[1]: 'wrist' is not a camera of libero_spatial; choose one of image, image2",
    ),
    "a camera that is no list": (
        ("image_size: 64}", "image_size: 64, cameras: image}"),
        "study.yaml:9: encoder.cameras: must be a list, not 'image'",
    ),
    "no cameras": (
        ("image_size: 64}", "image_size: 64, cameras: []}"),
        "study.yaml:9: encoder.cameras: must not be empty",
    ),
    "a camera twice": (
        ("image_size: 64}", "image_size: 64, cameras: [image2, image2]}"),
        "study.yaml:9: encoder.cameras[1]: camera image2 is given twice",
    ),
    "an arm's camera twice": (
        ("{memory: zero}", "{memory: zero, encoder: {cameras: [image, image2, image]}}"),
        "study.yaml:18: arms.E1.encoder.cameras[2]: camera image is given twice",
    ),
    "an arm's unknown camera": (
        ("{memory: zero}", "{memory: zero, encoder: {cameras: [top]}}"),
        "study.yaml:18: arms.E1.encoder.cameras[0]: 'top' is not a camera of libero_spatial; choose one of image, "
        "image2",
    ),
    "an arm's old key for a camera": (
        ("{memory: zero}", "{memory: zero, camera: image}"),
        "study.yaml:18: arms.E1.camera: unknown key; allowed here: against, rollout, ablations, memory, policy, "
        "encoder, world, preset",
    ),
    "cameras without a memory": (
        ("{memory: disabled}", "{memory: disabled, encoder: {cameras: [image]}}"),
        "study.yaml:17: arms.E0.encoder: an arm whose memory is disabled has no world memory; remove this key",
    ),
    "two arms of one memory and the same cameras": (
        ("{memory: zero}", "{memory: pred, encoder: {cameras: [image]}}"),
        "study.yaml:19: arms.E2.memory: 'pred' is what arms.E1 trains too; they would be equal",
    ),
    "no seeds": (
        ("seeds: [0, 1]", "seeds: []"),
        "study.yaml:15: training.seeds: must not be empty",
    ),
    "seed that is not a list": (
        ("seeds: [0, 1]", "seeds: 3"),
        "study.yaml:15: training.seeds: must be a list, not 3",
    ),
    "a seed that numpy's generator does not take": (
        ("seeds: [0, 1]", "seeds: [0, 4294967296]"),
        "study.yaml:15: training.seeds[1]: must be less than 4294967296, not 4294967296",
    ),
    "such a seed of the demonstrations": (
        ("per_task: 2,", "per_task: 2, seed: 4294967296,"),
        "study.yaml:7: data.demonstrations.seed: must be less than 4294967296, not 4294967296",
    ),
    "a batch that processes cannot share": (
        ("batch_size: 2", "batch_size: 3\n  processes: 2"),
        "study.yaml:14: training.batch_size: 3 cannot be shared equally by training.processes (2); "
        "choose a multiple of it",
    ),
    "no threads": (
        ("batch_size: 2", "batch_size: 2\n  threads: 0"),
        "study.yaml:15: training.threads: must be greater than 0, not 0",
    ),
    "warm-up longer than training": (
        ("batch_size: 2", "batch_size: 2\n  warmup_steps: 11"),
        "study.yaml:15: training.warmup_steps: must be at most training.steps (10)",
    ),
    "ablation equal to the trained mode": (
        ("[zero, random]", "[pred]"),
        "study.yaml:19: arms.E2.ablations[0]: 'pred' is what the arm is rolled out with anyway; an ablation must be "
        "another mode",
    ),
    "ablation of an arm without memory": (
        ("{memory: disabled}", "{memory: disabled, ablations: [zero]}"),
        "study.yaml:17: arms.E0.ablations[0]: an arm whose memory is disabled has no world memory to ablate",
    ),
    "ablation to disabled": (
        ("[zero, random]", "[disabled]"),
        "study.yaml:19: arms.E2.ablations[0]: 'disabled' cannot be an ablation; an arm with memory disabled is that "
        "comparison",
    ),
    "an oracle's rollout": (
        ("{memory: zero}", "{memory: oracle}"),
        "study.yaml:18: arms.E1.memory: no rollout knows oracle's future; say what to roll out with, as rollout: pred",
    ),
    "rollout with the future": (
        ("{memory: zero}", "{memory: oracle, rollout: oracle}"),
        "study.yaml:18: arms.E1.rollout: no rollout knows oracle's future; choose another mode",
    ),
    "training that looks ahead": (
        ("{memory: zero}", "{memory: oracle_policy}"),
        "study.yaml:18: arms.E1.memory: 'oracle_policy' looks ahead in rollouts, so nothing is trained in it; train "
        "with another memory, and name it under ablations",
    ),
    "constants nobody trained": (
        ("[zero, random]", "[zero, learned]"),
        "study.yaml:19: arms.E2.ablations[1]: 'learned' needs constants that only an arm with memory learned trains; "
        "choose another mode",
    ),
    "a fusion without memory": (
        ("{memory: disabled}", "{memory: disabled, world: {fusion: late}}"),
        "study.yaml:17: arms.E0.world: an arm whose memory is disabled has no world memory; remove this key",
    ),
    "a rollout without memory": (
        ("{memory: disabled}", "{memory: disabled, rollout: zero}"),
        "study.yaml:17: arms.E0.rollout: an arm whose memory is disabled has no world memory; remove this key",
    ),
    "a negative weight": (
        ("{memory: zero}", "{memory: zero, world: {lambda_world: -1}}"),
        "study.yaml:18: arms.E1.world.lambda_world: must be at least 0, not -1",
    ),
    "a Prophet that learns from nothing": (
        ("prediction_horizon: 8}", "prediction_horizon: 8, lambda_world: 0, detach: true}"),
        "study.yaml:10: world.lambda_world: the Prophet that makes memory pred would learn from nothing: with "
        "lambda_world 0 it has no loss of its own and with detach true not the policy's either; change one of them",
    ),
    "an arm's Prophet that learns from nothing": (
        ("memory: pred,", "memory: pred, world: {lambda_world: 0.0, detach: true},"),
        "study.yaml:19: arms.E2.world.lambda_world: the Prophet that makes memory pred would learn from nothing: with "
        "lambda_world 0 it has no loss of its own and with detach true not the policy's either; change one of them",
    ),
    "a Prophet that is kept and asked to learn": (
        ("prophet: joint, ", "lambda_world: 0, "),
        "study.yaml:10: world.lambda_world: says what the Prophet learns from, and one that is kept learns "
        "nothing in the arm; write world.prophet: joint, or tuned",
    ),
    "a Prophet that is kept and told the noisy actions": (
        ("prophet: joint, ", "actions: true, "),
        "study.yaml:10: world.actions: noisy actions are known in the arm alone, and a Prophet that is kept learns "
        "nothing in the arm; write world.prophet: joint, or tuned",
    ),
    "a mode that trains a Prophet which is kept": (
        ("{memory: zero}", "{memory: aux_only, world: {prophet: kept}}"),
        "study.yaml:18: arms.E1.memory: 'aux_only' trains the Prophet beside the policy, and one that is kept learns "
        "nothing in the arm; write world.prophet: joint, or tuned",
    ),
    "weights that are not one per frame ahead": (
        ("prediction_horizon: 8}", "prediction_horizon: 8, step_weights: [1, 2]}"),
        "study.yaml:10: world.step_weights: [1.0, 2.0] are not 8 weights, one per frame ahead (prediction_horizon), of "
        "which one is not 0",
    ),
    "two arms that a weight would not tell apart": (
        ("{memory: zero}", "{memory: pred, world: {lambda_world: 0.2, detach: false}}"),
        "study.yaml:19: arms.E2.memory: 'pred' is what arms.E1 trains too; they would be equal",
    ),
    "two arms with one fusion": (
        ("{memory: zero}", "{memory: pred, world: {fusion: late}}"),
        "study.yaml:19: arms.E2.memory: 'pred' is what arms.E1 trains too; they would be equal",
    ),
    "two equal arms": (
        ("{memory: zero}", "{memory: disabled}"),
        "study.yaml:18: arms.E1.memory: 'disabled' is what arms.E0 trains too; they would be equal",
    ),
    "a setting of the memory beside the arm's other keys": (
        ("{memory: zero}", "{memory: zero, fusion: late}"),
        "study.yaml:18: arms.E1.fusion: unknown key; it is one of world: write world: {fusion: ...}",
    ),
    "a setting that the memory does not have": (
        ("{memory: zero}", "{memory: zero, world: {fusions: late}}"),
        "study.yaml:18: arms.E1.world.fusions: unknown key; did you mean fusion? allowed here: context, "
        "prediction_horizon, heads, prophet_layers, prophet_width, prophet, prophet_rank, prophet_steps, step_weights, "
        "hypotheses, fusion, attention_width, delta, lambda_world, detach, truth_steps, gate_init, actions, align, "
        "align_weight, align_depth, align_tokens",
    ),
    "a fusion that there is not": (
        ("{memory: zero}", "{memory: zero, world: {fusion: middle}}"),
        "study.yaml:18: arms.E1.world.fusion: 'middle' is not a fusion; choose one of late, suffix, layers, "
        "prefix_cross, prefix_tokens",
    ),
    "an encoder family that there is not": (
        ("kind: vjepa2", "kind: vjepa"),
        "study.yaml:9: encoder.kind: 'vjepa' is not an encoder family; choose one of vjepa2, dinov2, dinov3, "
        "dinov3_convnext, automodel, cogvideox, torchscript",
    ),
    "an arm's encoder without a source and none to take over": (
        (
            "encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\n",
            "",
        ),
        "study.yaml:1: 'encoder' is missing, and arms.E1 has a world memory",
    ),
    "an arm's wrong heads": (
        ("{memory: zero}", "{memory: zero, world: {heads: 5}}"),
        "study.yaml:18: arms.E1.world.heads: world.prophet_width, 128 is not a multiple of world.heads (5)",
    ),
    "an arm's pictures that the patches do not tile": (
        ("{memory: zero}", "{memory: zero, encoder: {image_size: 65}}"),
        "study.yaml:18: arms.E1.encoder.image_size: 65 is not a multiple of the encoder's patch of 16; choose 64 or 80",
    ),
    "an arm's policy of an unknown source": (
        ("{memory: zero}", "{memory: zero, policy: {source: web}}"),
        "study.yaml:18: arms.E1.policy.source: 'web' is not a source; choose one of embedded, hub, folder, "
        "scratch, new",
    ),
    "an arm's policy with a key of another source": (
        ("{memory: zero}", "{memory: zero, policy: {revision: main}}"),
        "study.yaml:18: arms.E1.policy.revision: unknown key; allowed here: source, name, seed",
    ),
    "a small policy that there is not": (
        ("policy: {source: scratch}", "policy: {source: scratch, name: smolvla}"),
        "study.yaml:11: policy.name: 'smolvla' is not a small policy; choose one of smolvla-tiny, pi0-tiny",
    ),
    "a policy family that there is not": (
        ("policy: {source: scratch}", "policy: {source: folder, path: p, type: rt2}"),
        f"study.yaml:11: policy.type: 'rt2' is not a policy family; choose one of {', '.join(POLICIES.names)}",
    ),
    "an arm's scratch policy beside the rounds of the study's": (
        (
            "arms:\n  E0: {memory: disabled}\n",
            "pretrain: [{demonstrations: 1, steps: 5}]\narms:\n  E0: {memory: disabled, policy: {seed: 1}}\n",
        ),
        "study.yaml:18: arms.E0.policy: the rounds of pretrain train the study's policy alone; let the arm start from "
        "a trained policy",
    ),
    "an arm that is its own control": (
        ("{memory: zero}", "{memory: zero, against: E1}"),
        "study.yaml:18: arms.E1.against: an arm cannot be its own control; name another arm, or remove this key",
    ),
    "a control that is no arm": (
        ("{memory: zero}", "{memory: zero, against: E3}"),
        "study.yaml:18: arms.E1.against: 'E3' is not an arm of this study; choose one of E0, E2",
    ),
    "controls that go in a circle": (
        (
            "  E1: {memory: zero}\n  E2: {memory: pred, ",
            "  E1: {memory: zero, against: E2}\n  E2: {memory: pred, against: E1, ",
        ),
        "study.yaml:18: arms.E1.against: E1 against E2 against E1 goes in a circle; one arm needs another control",
    ),
    "a device that there is not": (
        ("batch_size: 2", "batch_size: 2\n  device: gpu"),
        "study.yaml:15: training.device: 'gpu' is not allowed; choose one of auto, cpu, cuda, mps",
    ),
    "numbers that LeRobot does not have there": (
        ("batch_size: 2", "batch_size: 2\n  device: mps\n  dtype: bfloat16"),
        "study.yaml:16: training.dtype: LeRobot computes in float32 alone on mps; write float32, or another device",
    ),
    "a number format that there is not": (
        ("  num_steps: 5", "  dtype: float16"),
        "study.yaml:23: rollouts.dtype: 'float16' is not allowed; choose one of float32, bfloat16",
    ),
    "no suite for the rollouts": (
        ("suite: libero_spatial\ntasks: [0, 1]\n", "tasks: [0, 1]\n"),
        "study.yaml:1: 'suite' is missing; give it, or data.suites and rollouts.suites",
    ),
    "no tasks": (
        ("tasks: [0, 1]\n", ""),
        "study.yaml:1: 'tasks' is missing; give it, or data.tasks and rollouts.tasks",
    ),
    "a rollout suite that there is not": (
        ("  num_steps: 5", "  suites: [libero_spatial, libero]"),
        "study.yaml:23: rollouts.suites: 'libero' is not a benchmark suite; choose one of " + ", ".join(SUITES.names),
    ),
    "a task that the suite of the rollouts does not have": (
        ("  num_steps: 5", "  tasks: [3, 10]"),
        "study.yaml:23: rollouts.tasks[1]: libero_spatial has no task 10; choose from 0-9",
    ),
    "a task that the suite of the data does not have": (
        ("  source: scripted\n", "  source: scripted\n  tasks: [12]\n"),
        "study.yaml:7: data.tasks[0]: libero_spatial has no task 12; choose from 0-9",
    ),
    "the old key for several suites": (
        ("  num_steps: 5", "  suite: libero_spatial"),
        "study.yaml:23: rollouts.suite: unknown key; did you mean suites? allowed here: suites, tasks, init_states, "
        "episodes, num_steps, n_action_steps, device, dtype, batch, block, videos",
    ),
    "no arms": (
        (SMALL_STUDY[SMALL_STUDY.index("arms:") : SMALL_STUDY.index("rollouts:")], "arms: {}\n"),
        "study.yaml:16: arms: must not be empty",
    ),
    "arm with a dash": (
        ("  E1: {memory: zero}", "  E1-a: {memory: zero}"),
        "study.yaml:18: arms.E1-a: 'E1-a' is not a name; use letters, digits and _",
    ),
    "memory without encoder": (
        ("encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\n", ""),
        "study.yaml:1: 'encoder' is missing, and arms.E1 has a world memory",
    ),
    "an encoder of another kind": (
        ("source: embedded, frames", "source: embedded, name: dinov2-small, frames"),
        "study.yaml:9: encoder.name: 'dinov2-small' is no vjepa2 encoder; choose vjepa2-small or vjepa2-libero",
    ),
    "an encoder that does not exist": (
        ("source: embedded, frames", "source: embedded, name: tiny, frames"),
        "study.yaml:9: encoder.name: 'tiny' is not a small encoder; choose one of vjepa2-small, "
        "vjepa2-libero, dinov2-small, dinov3-small, vit-small, cogvideox-small",
    ),
    "heads that do not divide the width": (
        ("prophet_width: 128", "prophet_width: 100"),
        "study.yaml:10: world.prophet_width: 100 is not a multiple of world.heads (8)",
    ),
    "heads that do not divide the action expert": (
        ("prophet_width: 128,", "prophet_width: 128, heads: 64,"),
        "study.yaml:10: world.heads: 64 does not divide the width of the policy's action expert (96); choose one of "
        "1, 2, 4, 8, 16, 32",
    ),
    "more actions rolled out than predicted": (
        ("  num_steps: 5", "  n_action_steps: 40"),
        "study.yaml:23: rollouts.n_action_steps: 40 exceeds the policy's chunk of 10 actions",
    ),
    "more actions trained than predicted": (
        ("  seeds: [0, 1]", "  n_action_steps: 40\n  seeds: [0, 1]"),
        "study.yaml:15: training.n_action_steps: 40 exceeds the policy's chunk of 10 actions",
    ),
    "blocks longer than predicted": (
        ("{per_task: 1, init_states: 0-9}", "{per_task: 1, init_states: 0-9, block_steps: 11}"),
        "study.yaml:8: data.relabel.block_steps: 11 exceeds the policy's chunk of 10 actions",
    ),
    "pictures that the patches do not tile": (
        ("image_size: 64", "image_size: 65"),
        "study.yaml:9: encoder.image_size: 65 is not a multiple of the encoder's patch of 16; choose 64 or 80",
    ),
    "pictures smaller than a patch": (
        ("image_size: 64", "image_size: 15"),
        "study.yaml:9: encoder.image_size: 15 is not a multiple of the encoder's patch of 16; choose 16",
    ),
    "a camera of one pixel": (
        ("horizon: 220", "camera_size: 1"),
        "study.yaml:4: simulator.camera_size: must be at least 64, not 1",
    ),
    "a camera of a hundred million pixels": (
        ("horizon: 220", "camera_size: 10000"),
        "study.yaml:4: simulator.camera_size: must be at most 1024, not 10000",
    ),
    "a number that overflows": (
        ("batch_size: 2", "batch_size: 2\n  lr: 1e999"),
        "study.yaml:15: training.lr: must be a finite number, not Infinity",
    ),
    "a whole number that overflows": (
        ("batch_size: 2", f"batch_size: 2\n  lr: 1{'0' * 400}"),
        "study.yaml:15: training.lr: must be a finite number, not 1000000000000000000000000000000000000...",
    ),
    "infinity where zero is allowed": (
        ("per_task: 2,", "per_task: 2, noise: 1e999,"),
        "study.yaml:7: data.demonstrations.noise: must be a finite number, not Infinity",
    ),
    "not a number": (
        ("prediction_horizon: 8", "gate_init: !!float nan"),
        "study.yaml:10: world.gate_init: must be a finite number, not NaN",
    ),
    "a range without end": (
        ("init_states: 30-33", "init_states: 30-999999999"),
        "study.yaml:21: rollouts.init_states: 50 is not an initial state of libero_spatial; choose from 0-49",
    ),
    "pretraining of a finished policy": (
        ("policy: {source: scratch}\n", "policy: {source: embedded}\npretrain: [{demonstrations: 5, steps: 9}]\n"),
        "study.yaml:12: pretrain: needs policy.source scratch, not embedded",
    ),
    "relabelling with a random policy": (
        (
            "policy: {source: scratch}\n",
            "policy: {source: scratch}\npretrain:\n- {demonstrations: 5, relabel: 1, steps: 9}\n",
        ),
        "study.yaml:13: pretrain[0].relabel: must be 0 in the first round, whose policy is random",
    ),
    "duplicate key": (
        ("  E1: {memory: zero}", "  E0: {memory: zero}"),
        "study.yaml:18: arms.E0: is given twice, first on line 17",
    ),
    "YAML syntax": (
        ("{memory: zero}", "{memory: zero"),
        "study.yaml:19: not valid YAML: expected ',' or '}', but got ':'",
    ),
    "tab": (
        ("  steps: 10\n", "\tsteps: 10\n"),
        "study.yaml:13: not valid YAML: found character '\\t' that cannot start any token",
    ),
    "an alias inside of itself": (
        ("{memory: zero}", "&a {memory: *a}"),
        "study.yaml:18: not valid YAML: an alias stands inside of what it repeats",
    ),
    "a word that is asked to be a number": (
        ("batch_size: 2", "batch_size: !!int two"),
        "study.yaml:14: not valid YAML: 'two' cannot be read as int",
    ),
    "a word that is asked to be true or false": (
        ("batch_size: 2", "batch_size: 2\n  train_vision: !!bool maybe"),
        "study.yaml:15: not valid YAML: 'maybe' cannot be read as bool",
    ),
    "a number of five thousand digits": (
        ("batch_size: 2", "batch_size: " + "9" * 5000),
        f"study.yaml:14: not valid YAML: '{'9' * 37}...' cannot be read as int",
    ),
    "a date": (
        ("batch_size: 2", "batch_size: !!timestamp 2026-13-40"),
        "study.yaml:14: not valid YAML: the tag 'timestamp' has no place in a study",
    ),
    "an object of Python": (
        ("batch_size: 2", "batch_size: !!python/object:os.system ls"),
        "study.yaml:14: not valid YAML: the tag 'python/object:os.system' has no place in a study",
    ),
    "an escape beyond Unicode": (
        ("batch_size: 2", 'batch_size: "\\UFFFFFFFF"'),
        "study.yaml:14: not valid YAML: an escape or a number that does not exist",
    ),
    "an escaped NUL in a path": (
        ("assets: package", 'assets: "\\0"'),
        "study.yaml:4: not valid YAML: the character U+0000 is not allowed",
    ),
    "half a surrogate pair": (
        ("assets: package", 'assets: "\\ud800"'),
        "study.yaml:4: not valid YAML: the character U+D800 is not allowed",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit, expected = CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(edited(edit))
    with pytest.raises(UserError) as caught:
        load_study(Path("study.yaml"))
    assert str(caught.value) == expected


def test_exactness_that_a_suite_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        edited(
            ("suite: libero_spatial", "suite: metaworld_mt50"),
            ("{assets: package, horizon: 220}", "{exact: true, horizon: 220}"),
        )
    )
    expected = r"study\.yaml:4: simulator\.exact: metaworld_mt50 has no quicker step to turn off; remove this key$"
    with pytest.raises(UserError, match=expected):
        load_study(tmp_path / "study.yaml")
    (tmp_path / "study.yaml").write_text(edited(("horizon: 220", "horizon: 220, exact: true")))
    assert load_study(tmp_path / "study.yaml").study.simulator.exact


def test_demonstrations_of_a_suite_without_an_expert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suite in list(SUITES):
        if suite.name != "libero_object":
            monkeypatch.setitem(SUITES._entries, suite.name, (replace(suite, expert=None), {}))
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(edited())
    expected = "study.yaml:6: data.source: scripted experts know libero_object, not libero_spatial; choose"
    with pytest.raises(UserError, match=re.escape(expected)):
        load_study(Path("study.yaml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "study.yaml:1: the file is empty; a study starts with 'study: <name>'"),
        ("# only a comment\n", "study.yaml:1: the file is empty; a study starts with 'study: <name>'"),
        ("- a list\n", "study.yaml:1: a study is a mapping of keys to values"),
        ("just words\n", "study.yaml:1: a study is a mapping of keys to values"),
        ("? [a, b]\n: 1\n", "study.yaml:1: not valid YAML: a key must be a plain word"),
        ("study: a\n<<: {suite: b}\n", "study.yaml:2: not valid YAML: a key must be a plain word"),
        ("&a {heads: *a}\n", "study.yaml:1: not valid YAML: an alias stands inside of what it repeats"),
        ("study: a\nsuite: \0\n", "study.yaml:2: not valid YAML: the character U+0000 is not allowed"),
        ("study: " + "[" * 3000, "study.yaml:1: not valid YAML: nested too deeply"),
        ("study: " + "[" * 30 + "]" * 30, "study.yaml:1: not valid YAML: nested too deeply"),
        (LAUGHS, "study.yaml:1: not valid YAML: more than 10000 values"),
        (b"study: a\nsuite: \xff\n", "study.yaml:2: cannot be read as text (invalid start byte); save it as UTF-8"),
    ],
)
def test_files_that_are_no_study(
    text: str | bytes, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as caught:
        load_study(Path("study.yaml"))
    assert str(caught.value) == expected


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^nowhere\.yaml: there is no such study file; name another one with --study$"):
        load_study(Path("nowhere.yaml"))


def test_a_folder_is_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    with pytest.raises(UserError, match=r"^studies: is a folder, not a study file$"):
        load_study(Path("studies"))


def test_links_that_go_round_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").symlink_to("study.yaml")
    with pytest.raises(UserError, match=r"^study\.yaml: cannot be read as text "):
        load_study(Path("study.yaml"))


FOLDER_POLICY = ("policy: {source: scratch}", "policy: {source: folder, path: policy}")


@pytest.mark.parametrize(
    ("shape", "edit", "expected"),
    [
        (
            PolicyShape(9, 96),
            ("  num_steps: 5", "  num_steps: 5"),
            "training.n_action_steps: 10 exceeds .* chunk of 9 ",
        ),
        (PolicyShape(50, 96), ("  num_steps: 5", "  n_action_steps: 51"), "rollouts.n_action_steps: 51 exceeds"),
        (
            PolicyShape(50, 720),
            ("prediction_horizon: 8", "heads: 32"),
            r"world.heads: 32 .*\(720\); choose one of 1, 2, 4, 8, 16$",
        ),
    ],
)
def test_what_a_folders_policy_cannot_do(
    shape: PolicyShape, edit: tuple[str, str], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(edited(FOLDER_POLICY, edit))
    file = load_study(path)
    with pytest.raises(UserError, match=expected):
        file.check_policy(file.study.policy, POLICIES["smolvla"], shape)


def test_heads_are_free_without_a_world_memory_or_a_known_width(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(edited(FOLDER_POLICY, ("prediction_horizon: 8", "heads: 64")))
    file = load_study(path)
    file.check_policy(file.study.policy, POLICIES["smolvla"], PolicyShape(50, None))
    file.check_policy(file.study.policy, POLICIES["smolvla"], PolicyShape(None, None))
    arms = SMALL_STUDY[SMALL_STUDY.index("arms:") : SMALL_STUDY.index("rollouts:")]
    path.write_text(edited(("prediction_horizon: 8", "heads: 64"), (arms, "arms: {E0: {memory: disabled}}\n")))
    load_study(path)
