"""Train on features that stay on disk: ``python benchmarks/large_features.py``.

Two million items of 384 float32 columns (3.1 GB) lie in a file and are scaled into another. What
the process holds itself (anonymous pages) is told apart from the pages of files, which the system
may take back at any time: the highest of both, sampled every 50 ms.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.lib.format import open_memmap
from scaling_data import random_dataset

from fusionlab.config import experiment_from
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.studies.build import build_task
from fusionlab.training.loop import Loop


def write(file, items, width):
    """Random rows, a block at a time."""
    draw, values = np.random.default_rng(0), open_memmap(file, "w+", np.float32, (items, 1, width))
    for start in range(0, items, 50_000):
        block = values[start : start + 50_000]
        block[:] = draw.standard_normal(block.shape, dtype=np.float32)
    values.flush()


class Peaks:
    """The highest resident pages of a process by kind, in MB, while it is entered."""

    def __enter__(self):
        self.found, self.running = {"RssAnon": 0.0, "RssFile": 0.0}, True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self.found

    def __exit__(self, *_):
        self.running = False
        self.thread.join()

    def _watch(self):
        while self.running:
            for line in Path("/proc/self/status").read_text().splitlines():
                kind = line.split(":")[0]
                if kind in self.found:
                    self.found[kind] = max(self.found[kind], int(line.split()[1]) / 1000)
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--clicks", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the files go (2 x 3.1 GB)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder) / "values.npy"
        write(file, options.items, options.width)
        values = torch.from_numpy(np.load(file, mmap_mode="c"))
        mask = torch.ones(options.items, 1, dtype=torch.bool)
        clicks = random_dataset(50_000, options.items, options.clicks, 1, 1).interactions
        ids = pl.Series(range(options.items)).cast(pl.String)
        features = ItemFeatures({"text": values}, {"text": mask})
        dataset = Dataset("large", ids, features, clicks, None, "large")
        experiment = experiment_from(
            {
                "dataset": "synthetic",  # stands for the random one, which has no configuration
                "recommender": "content",
                "training": {"epochs": 1, "batch_size": 8192},
                "evaluation": {"users": 1000},
                "runtime": {"threads": 2},
            }
        )
        torch.set_num_threads(2)
        with Peaks() as peaks:
            task = build_task(experiment, dataset, scratch=Path(folder))
            task.prepare()
            Loop(task, experiment.training, experiment.runtime, seed=0).run()
        for kind, peak in peaks.items():
            print(f"{kind}: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
