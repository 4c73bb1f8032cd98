"""Do users get better lists as a recommender learns from what it showed them?

A model is trained on the few clicks of a synthetic catalogue's users, whose true tastes are known.
Then, round by round, each user is shown a list and clicks by their taste
(`fusionlab.serving.simulation`), and the model learns nothing, or takes the clicks into histories,
or is fine-tuned on them besides; with and without exploration. Seeds vary the training, the users'
clicks to come, the halves of the catalogue and the exploration; the catalogue stays.

    python experiments/feedback_loop.py [--seeds 5] [--first-seed 0] [--rounds 8] [--k 5]
        [--explore 0.2] [--runs runs] [overrides: key.sub=value ...]

Rises from the first round to the last, and differences in the last, are tested over users, each
averaged over seeds. Writes reports/feedback_loop/: the figure, and every round as CSV.
"""

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from fusionlab import terminal
from fusionlab.config import load_config
from fusionlab.evaluation.significance import compare, over_seeds
from fusionlab.reporting.feedback_loop import feedback_loop, policy_name
from fusionlab.reporting.style import save
from fusionlab.serving.simulation import UPDATES, Policy, draw_world, simulate
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "feedback_loop.yaml"
FOLDER = Path("reports", "feedback_loop")


def options():
    """The command line, and the overrides of the configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--explore", type=float, default=0.2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    return parser.parse_known_args()


def simulated(chosen, overrides, policies):
    """Of each policy a course a seed."""
    store, courses = RunStore(chosen.runs), {policy: [] for policy in policies}
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        experiment = load_config(CONFIG, [*overrides, f"seed={seed}"])
        trained = load_trained(run_experiment(experiment, store).id, store)
        world = draw_world(trained, seed)
        how = {"rounds": chosen.rounds, "k": chosen.k, "seed": seed}
        for policy in policies:
            with TemporaryDirectory() as folder:
                file = Path(folder, "feedback.sqlite")
                course = simulate(trained, policy, world, file, **how)
            courses[policy].append(course)
            means = " ".join(f"{value:.3f}" for value in course.judged.mean(1))
            terminal.say(f"seed {seed}, {policy_name(policy)}: {means}")
    return courses


def tested(reference, others):
    """A label each with its difference from ``reference`` and p after Holm."""
    return {
        one.label: f"{one.difference:+.3f} ({one.interval[0]:+.3f} to {one.interval[1]:+.3f}), "
        f"p {one.p_holm:.4f}"
        for one in compare(reference, others)
    }


def table_of(courses):
    """A row a policy: first and last round, the rise, the last round beside profiles alone."""
    at = [over_seeds([run.judged[0] for run in next(iter(courses.values()))])]
    last = {
        policy_name(policy): over_seeds([run.judged[-1] for run in runs])
        for policy, runs in courses.items()
    }
    profile = policy_name(Policy("profile"))
    rises = tested(at[0], last)
    others = tested(last[profile], {name: one for name, one in last.items() if name != profile})
    heads = ("first", "last", "rise (95 %, Holm)", "rise by seed", "less profile update", "shown")
    table = Table("", *heads, "clicks a user", box=None)
    for (name, values), runs in zip(last.items(), courses.values(), strict=True):
        by_seed = [run.judged[-1].mean() - run.judged[0].mean() for run in runs]
        table.add_row(
            name,
            f"{at[0].mean():.3f}",
            f"{values.mean():.3f}",
            rises[name],
            f"{min(by_seed):+.3f} to {max(by_seed):+.3f}",
            others.get(name, ""),
            f"{sum(run.shown.mean() for run in runs) / len(runs):.3f}",
            f"{sum(run.clicks.sum() for run in runs) / len(runs):.2f}",
        )
    return table


def write_rounds(courses, file):
    """Every policy, seed and round."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["policy", "seed", "round", "judged", "shown", "clicks"])
        for policy, runs in courses.items():
            for seed, run in enumerate(runs):
                rows = zip(run.judged.mean(1), run.shown.mean(1), run.clicks, strict=True)
                for place, row in enumerate(rows, 1):
                    writer.writerow([policy_name(policy), seed, place, *map(float, row)])


if __name__ == "__main__":
    chosen, overrides = options()
    shares = dict.fromkeys((0.0, chosen.explore))
    policies = [Policy(update, share) for update in UPDATES for share in shares]
    courses = simulated(chosen, overrides, policies)
    terminal.show(table_of(courses))
    files = save(feedback_loop(courses), FOLDER / "feedback_loop")
    write_rounds(courses, FOLDER / "rounds.csv")
    terminal.say(*(f"wrote {file}" for file in [*files, FOLDER / "rounds.csv"]))
