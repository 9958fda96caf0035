"""``python -m world_modality.precompute_instruction_embeddings``: every frame's instruction as a vector.

It leaves ``<cache_dir>/<dataset>/<split>_instruction_embeddings.fp16.npy`` float16 [N, E], row = the frame's index, and
``<split>_instructions.json`` beside it, which says of what texts and by what model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from world_modality.cli.earlier_programs import add_ignored, parser, place, positive, run, told, use_device
from world_modality.data.description import read_description
from world_modality.data.episodes import dataset_fingerprint, table_of
from world_modality.errors import UserError
from world_modality.store.files import write_json

IGNORED = {
    "instruction_key": "an episode's text is the one of its task_index, as LeRobot keeps it",
    "episode_id_key": "the dataset's episode table says where episodes are",
    "task_index_key": "LeRobot calls it task_index",
    "task_text_field": "a line of tasks_jsonl calls it task",
    "batch_size": "each text is embedded alone",
    "dtype": "it computes in float32 and keeps float16",
}


def main(given: Sequence[str] | None = None) -> None:
    """Entry point."""
    flags = parser("precompute_instruction_embeddings", "Embed every task's instruction and give it to its frames.")
    flags.add_argument(
        "--text_model_name", default="distilbert-base-uncased", help="folder, hub id, or embedded:text-small"
    )
    flags.add_argument("--max_length", type=positive, default=64, help="tokens of a text")
    flags.add_argument("--tasks_jsonl", type=Path, help="texts in place of the dataset's: task_index and task per line")
    flags.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_ignored(flags, IGNORED)
    run(flags, _work, given)


def _work(given: argparse.Namespace) -> Iterator[str]:
    import torch

    from world_modality.discrete.instructions import embed, read_tasks, require_words

    yield from told(given, IGNORED)
    use_device(given.device)
    dataset, name = place(given)
    folder = given.cache_dir / name
    file = folder / f"{given.split}_instruction_embeddings.fp16.npy"
    if file.exists():
        raise UserError(f"{file} is there already and is never overwritten: remove it, or name another --split")
    description = read_description(dataset)
    texts = dict(description.texts)
    if given.tasks_jsonl is not None:
        own = read_tasks(given.tasks_jsonl)
        lacking = sorted(set(texts) - set(own))
        if lacking:
            raise UserError(
                f"{given.tasks_jsonl} has no text for task {', '.join(map(str, lacking))} of {dataset}: add it"
            )
        texts = {index: own[index] for index in texts}
    require_words(texts)
    device = "cuda" if given.device != "cpu" and torch.cuda.is_available() else "cpu"
    vectors = embed(list(texts.values()), given.text_model_name, max_length=given.max_length, device=device)
    row_of = {description.texts[index]: row for row, index in enumerate(texts)}
    table = table_of(description)
    rows = np.repeat([row_of[text] for text in table.tasks], table.lengths)
    folder.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.part.npy")
    np.save(draft, vectors.astype(np.float16)[rows])
    about = {
        "model": given.text_model_name,
        "max_length": given.max_length,
        "dim": int(vectors.shape[1]),
        "texts": {str(index): text for index, text in texts.items()},
        "dataset_fingerprint": dataset_fingerprint(dataset),
    }
    write_json(folder / f"{given.split}_instructions.json", about)
    draft.replace(file)  # last: what is there is whole
    yield f"written      {file}: {len(rows)} frames, {len(texts)} instructions, {vectors.shape[1]} numbers each"


if __name__ == "__main__":
    main()
