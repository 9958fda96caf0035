import os
import subprocess
import sys
from pathlib import Path

DISCOVER = """
import draccus
from lerobot.configs.train import TrainPipelineConfig
from lerobot.utils.import_utils import register_third_party_plugins
import sys
assert not any(name.startswith("lerobot_policy_world") for name in sys.modules)
register_third_party_plugins()
config = draccus.parse(TrainPipelineConfig, args=["--dataset.repo_id=local/x", "--policy.type=smolvla_world",
    "--policy.device=cpu", "--policy.world_memory_mode_train=zero", "--policy.world_prediction_horizon=3"])
assert "lerobot_policy_world_modality.modeling_smolvla_world" not in sys.modules, "the model is imported lazily"
print(type(config.policy).__name__, config.policy.world_memory_mode_train, config.policy.world_prediction_horizon)
print(config.policy.get_optimizer_preset().type)
"""


def test_lerobots_own_discovery_finds_the_policy_type(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", DISCOVER],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,  # not the repository: what is installed must be found, as lerobot-train finds it
        timeout=300,
        check=False,
    )
    assert result.stdout.split() == ["SmolVLAWorldConfig", "zero", "3", "adamw_group_clipped"], result.stderr[-3000:]
