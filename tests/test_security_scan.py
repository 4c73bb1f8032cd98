"""No file of the package executes what it reads: a scan of what is called, and by what name."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import fusionlab

PACKAGE = Path(fusionlab.__file__).parent
EXECUTING = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "execfile"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "marshal.load"),
    *("shelve.open", "dill.load", "dill.loads", "joblib.load", "cloudpickle.loads"),
    *("cloudpickle.load", "srsly.pickle_loads", "runpy.run_path", "runpy.run_module"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "pandas.read_pickle"),
    *("torch.hub.load", "torch.jit.load", "torch.package.PackageImporter", "spacy.load"),
    *("spacy.util.load_model", "timm.create_model", "torchvision.models.get_model"),
}
"""What runs, or may run, what it is given, whether it is called or handed on."""
EXECUTING_METHODS = ("import_module", "exec_module", "read_pickle", "get_state_dict")
GUARDED = {
    "torch.load": ("weights_only", True),
    "torch.hub.load_state_dict_from_url": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
"""What runs nothing if it is called and told so."""
FORBIDDEN = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False}
"""Arguments that no call has."""
KNOWN = {
    # bytes that this process made a moment ago, brought back by the Ray workers it started
    ("encoders/blocks.py", "pickle.loads"): 4,
    # names of modules: of the package's own folders, and of plug-ins that a user names
    ("plugins.py", "importlib.import_module"): 1,
    ("registry.py", "importlib.import_module"): 3,
    ("benchmarking/timer.py", "importlib.import_module"): 1,
    ("plugins.py", "spec.loader.exec_module"): 1,
    # within `building`, where torch opens no pickle
    ("encoders/image/timm_model.py", "timm.create_model"): 1,
    ("encoders/image/torchvision_model.py", "torchvision.models.get_model"): 1,
    # a folder, or a package with spaCy's entry point
    ("encoders/text/steps.py", "spacy.load"): 1,
}
"""The uses that there are, with how many."""


def full_names(tree):
    """What the names that a file imports stand for: {"p": "pickle"} of ``import pickle as p``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((one.asname, one.name) for one in node.names if one.asname)
        if isinstance(node, ast.ImportFrom):
            yield from ((one.asname or one.name, f"{node.module}.{one.name}") for one in node.names)


def risks(tree):
    """What in a file may execute what it reads, each use once."""
    names, told = dict(full_names(tree)), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            told[node.func] = {key.arg: ast.unparse(key.value) for key in node.keywords}
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        head, dot, rest = ast.unparse(node).partition(".")
        name = f"{names.get(head, head)}{dot}{rest}".removeprefix("builtins.")
        given = told.get(node, {})
        if name in EXECUTING or name.rpartition(".")[2] in EXECUTING_METHODS:
            yield name
        if name in GUARDED and given.get(GUARDED[name][0]) != str(GUARDED[name][1]):
            yield f"{name} without {GUARDED[name][0]}={GUARDED[name][1]}"
        for key, value in FORBIDDEN.items():
            if given.get(key) == str(value):
                yield f"{name} with {key}={value}"


def test_no_file_of_the_package_executes_what_it_reads():
    found = Counter(
        (file.relative_to(PACKAGE).as_posix(), risk)
        for file in PACKAGE.rglob("*.py")
        for risk in risks(ast.parse(file.read_text()))
    )
    assert found == KNOWN


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "pickle.load(file)",
        "yaml.load(text, Loader=yaml.Loader)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, mmap_mode='r')",
        "np.load(file, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "from pickle import loads\nloads(text)",
        "import pickle as p\np.load(file)",
        "def f(x):\n    from pickle import Unpickler as U\n    return U(x)",
        "list(map(pickle.loads, texts))",
        "from torch import load\nload(file)",
        "torch.load(file, 'cpu', None, weights_only=flag)",
        "from importlib import import_module\nimport_module(name)",
        "import_module(name)",
        "import builtins as b\nb.eval(text)",
        "torch.hub.load_state_dict_from_url(url)",
        "from torch import hub\nhub.load_state_dict_from_url(url)",
        "from torchvision import models\nmodels.get_model(name, weights=entry)",
        "entry.get_state_dict(check_hash=True)",
        "spacy.load(name)",
        "make().with_options(shell=True)",
    ],
)
def test_the_scan_sees(code):
    assert list(risks(ast.parse(code)))


def test_the_scan_counts():
    assert len(list(risks(ast.parse("pickle.loads(a)\npickle.loads(b)")))) == 2
