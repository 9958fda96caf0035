from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_stages import stage_context
from support.toy_footage import SMALL, toy_reel

from world_modality.errors import UserError
from world_modality.pretraining.corpus import Corpus, read_corpus
from world_modality.pretraining.objectives import Masked, draw_pairs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("reels")
    reels = [toy_reel(folder / str(task), 3, task=task) for task in range(2)]
    return read_corpus(reels, SMALL, stage_context(folder / "stage").progress)


def test_a_corpus_has_every_clip_of_every_shot(corpus: Corpus) -> None:
    assert corpus.clips.shape == (2 * 3 * 3 * 3, 4)  # tasks, episodes, shots, clips of 4 in 6 frames
    assert len(np.unique(corpus.shots)) == 18
    assert np.bincount(corpus.tasks).tolist() == [27, 27]
    videos = corpus.videos(np.array([0, 53]))
    assert videos.shape == (2, 4, 3, 32, 32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = corpus.frames[corpus.clips[53]].numpy().transpose(0, 2, 3, 1) / 255
    assert videos[1].numpy().transpose(0, 2, 3, 1) == pytest.approx((pixels - mean) / deviation, abs=1e-5)


def test_footage_without_a_clip_is_refused(tmp_path: Path) -> None:
    reel, context = toy_reel(tmp_path / "reel", 1), stage_context(tmp_path)
    with pytest.raises(UserError, match="no 8 successive frames: raise"):
        read_corpus([reel], SMALL.model_copy(update={"frames": 8}), context.progress)


def test_no_gradient_reaches_the_target_which_follows(corpus: Corpus) -> None:
    torch.manual_seed(0)
    objective = Masked(SMALL)
    loss, _ = objective.loss(corpus, np.random.default_rng(0), 4)
    loss.backward()
    assert all(each.grad is None for each in objective.target.parameters())
    own, other = (part.layer[0].mlp.fc1.weight for part in (objective.target, objective.network.encoder))
    assert other.grad.abs().sum() > 0
    before = own.clone()
    with torch.no_grad():
        other.add_(1.0)
    objective.follow(0.9)
    assert torch.allclose(own, before + 0.1)
    assert torch.equal(objective.trained().encoder.layer[0].mlp.fc1.weight, own)


def test_a_pair_is_of_one_shot_and_no_two_pairs_are(corpus: Corpus) -> None:
    one, other = draw_pairs(corpus, np.random.default_rng(0), 16)
    assert np.array_equal(corpus.shots[one], corpus.shots[other])
    assert (one != other).all()
    assert len(np.unique(corpus.shots[one])) == 16
