"""The card of a zoo's dataset repository: its contents, and how to read the weights of a row."""

from collections.abc import Mapping

from zoo.card import table
from zoo.catalog import Zoo
from zoo.front_matter import dataset_header

LOADER = """from datasets import load_dataset
from huggingface_hub import hf_hub_download
from safetensors import safe_open


def weights(row):  # every tensor of the network of a row, by name
    path = hf_hub_download("{repo}", row["weights"], repo_type="dataset")
    with safe_open(path, "pt") as file:
        own = [name for name in file.keys() if name.startswith(f"{{row['row']}}/")]
        if own:  # a collection of many architectures
            return {{name.split("/", 1)[1]: file.get_tensor(name) for name in own}}
        return {{name: file.get_slice(name)[row["row"]] for name in file.keys()}}


networks = load_dataset("{repo}", "{collection}", split="{split}")  # or streaming=True
tensors = weights(next(iter(networks)))
"""
"""How to read the weights of a row without our code."""
COLUMNS = {"name": "configuration", "title": "what", "count": "networks", "splits": "splits",
           "licence": "images' licence"}  # fmt: skip


def dataset_card(zoo: Zoo, repo: str, homes: Mapping[str, str]) -> str:
    """Return the card of `repo`; `homes` are the model repositories of its predictors, by name."""
    infos = zoo.collections()
    collections = [{**vars(info), "splits": ", ".join(info.splits)} for info in infos]
    predictors = [{**vars(info), "repo": f"`{homes[info.name]}`"} for info in zoo.predictors()]
    return f"""{dataset_header(f"Weightscope zoo {repo.split('/')[1]}", infos)}
# Networks to be read by networks

A zoo of trained networks. Each row of a configuration is a network: a picture of it (what a SIREN shows, else the first
layer's weights), its zoo id, its properties, and the file and row of its weights.

{table(collections, COLUMNS)}

Predictors that read them:

{table(predictors, {"title": "predictor", "task": "task", "repo": "repository"})}
{_usage(zoo, repo)}
Under `collections/` are the same networks in Weightscope's format: a table in `networks.parquet`, common properties in
`spec.json`, weights as stacked tensors in `weights-*.safetensors`, whose first axis is the network. For untrained
networks the file holds their winning tickets, packed; `zoo.network` regenerates their weights from their seed. If each
network has an architecture of its own, it is in `networks.parquet` as JSON, and the tensors are named `<row>/<name>`.

Images and networks fitted to them stay under the licences of the images.
"""


def _usage(zoo: Zoo, repo: str) -> str:
    infos = zoo.collections()
    if not infos:
        return ""
    loader = LOADER.format(repo=repo, collection=infos[0].name, split=next(iter(infos[0].splits)))
    return f"""
```python
{loader}```

```python
from zoo.remote import open_zoo

zoo = open_zoo("{repo}")
network = zoo.network("{zoo.rows(infos[0].name, limit=1)[0]["id"]}")
```
"""
