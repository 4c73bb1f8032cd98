"""Do users get better lists as a recommender learns from what it showed them?

A model is trained on the few clicks of a synthetic catalogue's users, whose true tastes are known.
Then, round by round, each user is shown a list and clicks by their taste
(`fusionlab.serving.simulation`), and the model learns nothing, or takes the clicks into histories,
or is fine-tuned on them besides; with and without exploration. Seeds vary the training, the users'
clicks to come, the halves of the catalogue and the exploration; the catalogue stays.

    python experiments/feedback_loop.py [--seeds 5] [--first-seed 0] [--rounds 8] [--k 5]
        [--explore 0.2] [--runs runs] [overrides: key.sub=value ...]

Tests are over users, each averaged over seeds. Writes reports/feedback_loop/: figure and rounds.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from fusionlab import terminal
from fusionlab.config import load_experiment
from fusionlab.data.disk import write_whole
from fusionlab.paper import script_parser
from fusionlab.reporting.feedback_loop import feedback_loop
from fusionlab.reporting.feedback_table import feedback_table, rounds_csv
from fusionlab.reporting.render import to_terminal
from fusionlab.reporting.style import save
from fusionlab.serving.simulation import UPDATES, Policy, draw_world, simulate
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "feedback_loop.yaml"
FOLDER = Path("reports", "feedback_loop")

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--explore", type=float, default=0.2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    chosen, overrides = parser.parse_known_args()
    courses = {Policy(one, share): [] for one in UPDATES for share in (0.0, chosen.explore)}
    store = RunStore(chosen.runs)
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        experiment = load_experiment(CONFIG, [*overrides, f"seed={seed}"])
        trained = load_trained(run_experiment(experiment, store).id, store)
        world = draw_world(trained, seed)
        with terminal.runs(f"seed {seed}", len(courses)) as on_run, TemporaryDirectory() as logs:
            for number, (policy, runs) in enumerate(courses.items()):
                log = Path(logs, f"{number}.sqlite")
                how = {"rounds": chosen.rounds, "k": chosen.k}
                runs.append(simulate(trained, policy, world, log, seed=seed, **how))
                on_run("")
    terminal.show(to_terminal(feedback_table(courses)))
    rounds = rounds_csv(courses, chosen.first_seed).encode()
    files = save(feedback_loop(courses), FOLDER / "feedback_loop")
    for file in (*files, write_whole(FOLDER / "rounds.csv", rounds)):
        terminal.say(f"wrote {file}")
