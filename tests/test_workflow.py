"""The workflow runs the commands of the README, on the versions of Python that the package names, by pinned actions."""

import re
import tomllib

import yaml
from hub_zoo import ROOT

JOB = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["test"]


def test_it_runs_the_two_commands_of_the_readme():
    commands = re.findall(r"^make \w+", "\n".join(step.get("run", "") for step in JOB["steps"]), re.M)
    assert commands == ["make test", "make run"]
    assert set(commands) <= set(re.findall(r"^make \w+", (ROOT / "README.md").read_text(), re.M))


def test_it_covers_the_versions_of_python_that_the_package_names():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))
    assert JOB["strategy"]["matrix"]["python"] == named


def test_its_actions_are_pinned_to_commits():
    used = [step["uses"] for step in JOB["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
