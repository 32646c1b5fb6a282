"""`bench.load`: every request that it sends is one that the app answers, and every file one that it reads."""

from bench.workload import searched, workload
from nfn.reader import read_network


def test_the_files_of_the_workload_are_read_and_those_of_classifiers_declare_a_graph(tmp_path):
    requests = workload(tmp_path, 2)
    files = {
        kind: [one.file for one in several if one.file]
        for kind, several in requests.items()
        if "file" in kind
    }
    assert len(files) == 4 and all(read_network(file) for group in files.values() for file in group)
    assert all(read_network(file).graph for file in files["predict_generalization, a file"])
    (bare,) = searched(tmp_path, 1)
    assert bare.file and read_network(bare.file).graph is None
