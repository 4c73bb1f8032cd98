"""The examples of docs/recommend.md work as they are written."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from fusionlab.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "recommend.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_page_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16), (200, 0, 0)).save("a.png")
    prefix, done, names = "", [], {}
    for language, file, content in BLOCK.findall(PAGE):
        if file:
            Path(file).write_text(content)
        elif language == "python":
            exec(compile(content, "docs/recommend.md", "exec"), names)
            done.append("python")
        for line in content.splitlines() if language == "console" else ():
            program, *words = shlex.split(line.removeprefix("$ "), comments=True)
            assert program == "fusionlab"
            if "faiss" in words and not find_spec("faiss"):
                continue
            found = CliRunner().invoke(main, [prefix if word == "RUN" else word for word in words])
            refused = words[0] == "update" and "is worse and is not kept" in found.output
            assert found.exit_code == 0 or refused, f"{line}\n{found.output}"
            if words[0] == "run":
                prefix = re.search(r"run (\w{12})", found.output)[1]
            done.append(words[0])
    assert set(done) == {"run", "recommend", "feedback", "update", "forget", "python"}
    assert len(done) >= 11
