"""Bad input over all commands: one sentence that names the fault, exit code 2, and nothing is touched."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from graphprune.select.base import Selection
from graphprune.table import ScoreTable

CONFIGS = Path(__file__).parents[1] / "configs"
DIGITS, TRAFFIC = CONFIGS / "digits.yaml", CONFIGS / "traffic.yaml"
X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
READINGS = np.random.default_rng(1).gamma(2.0, 20.0, size=(400, 3, 1)).astype(np.float32)
HOUR = np.timedelta64(3600, "s")
CLOCK = np.datetime64("2024-01-01T00:00:00", "s") + np.arange(400) * HOUR


def digits(*overrides, folder="run"):
    return lambda f: ("run", DIGITS, *(part for o in overrides for part in ("--set", o)), "--out", f / folder)


def text(content, *, name="job.yaml"):
    """A run of a config file with this content."""

    def make(f):
        path = f / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return "run", path, "--out", f / "run"

    return make


def of_data(data, **more):
    """A run on a config's data section; ``{f}`` in a value is the folder."""

    def make(f):
        filled = {k: str(v).format(f=f) if isinstance(v, str) else v for k, v in data.items()}
        content = {"name": "x", "data": filled, "scores": ["loss"], "model": "mlp", "extrapolators": ["mean"],
                   "graph": {"k": 5}, **more}  # fmt: skip
        (f / "job.yaml").write_text(yaml.safe_dump(content))
        return "run", f / "job.yaml", "--out", f / "run"

    return make


def arrays(**named):
    """A run on an npz with these arrays."""

    def make(f):
        np.savez(f / "D.npz", **named)
        return of_data({"kind": "npz", "path": "{f}/D.npz"})(f)

    return make


def sensors(content=None, *, suffix=".npz", raw=None, **more):
    """A run on a sensor file with these arrays, or these bytes."""

    def make(f):
        path = f / f"D{suffix}"
        if raw is not None:
            path.write_bytes(raw)
        elif suffix == ".npy":
            np.save(path, content)
        else:
            np.savez(path, **content)
        return of_data({"kind": "sensors", "path": str(path), **more}, model="stid")(f)

    return make


def parquet(columns, **more):
    def make(f):
        pq.write_table(pa.table(columns), f / "D.parquet")
        return of_data({"kind": "parquet", "path": "{f}/D.parquet", **more})(f)

    return make


def images(*pictures, **more):
    from PIL import Image

    def png(size):
        buffer = io.BytesIO()
        Image.new("RGB", (size, size)).save(buffer, "PNG")
        return buffer.getvalue()

    cells = [{"bytes": png(p) if isinstance(p, int) else p} for p in pictures]
    return parquet({"image": cells, "label": [i % 2 for i in range(len(cells))]}, **more)


def saved(name, array, *command, **options):
    """An array is saved, then a command is called that reads it."""

    def make(f):
        np.save(f / name, array, **options)
        return tuple(str(c).format(f=f) for c in command)

    return make


def scores(columns, *command):
    def make(f):
        pq.write_table(pa.table(columns), f / "B.parquet")
        return tuple(str(c).format(f=f) for c in command)

    return make


def log(*command, **named):
    def make(f):
        np.savez(f / "L.npz", **named)
        chosen = command or ("--score", "loss")
        return ("score", "--trajectories", f / "L.npz", *chosen, "--out", f / "x.parquet")

    return make


def graphed(*more, **overrides):
    """`extrapolate` on a sound graph, with some arguments replaced."""

    def make(f):
        from graphprune.graph.knn import KNNGraph

        KNNGraph.build(np.load(f / "E.npy"), k=6).save(f / "G")
        for name, change in overrides.items():
            change(f / name if name == "G" else f)
        given = {
            "--graph": f / "G",
            "--embeddings": f / "E.npy",
            "--seeds": f / "S.parquet",
            "--method": "knn",
        }
        given |= {key: str(value).format(f=f) for key, value in zip(more[::2], more[1::2], strict=True)}
        return ("extrapolate", *(part for pair in given.items() for part in pair), "--out", f / "P.parquet")

    return make


def npy_header(shape, descr="<f4"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def raw_npy(content, *command):
    def make(f):
        (f / "bad.npy").write_bytes(content)
        return tuple(str(c).format(f=f) for c in command)

    return make


GRAPH = ("graph", "--embeddings", "{f}/bad.npy", "--out", "{f}/H")
SELECT = ("select", "{f}/B.parquet", "--keep", "0.5", "--rule", "top", "--out", "{f}/K.parquet")
PER_CLASS = ("select", "{f}/TRUTH.parquet", "--keep", "0.5", "--rule", "top_per_class", "--labels", "{f}/bad.npy",
             "--out", "{f}/K.parquet")  # fmt: skip
PROBS = np.full((4, 6, 2), 0.5, dtype=np.float32)

RULE = ("--rule", "top")
CASES = {
    # the configuration
    "no such config": (lambda f: ("run", f / "absent.yaml"), "absent.yaml does not exist"),
    "a folder as config": (lambda f: ("run", f), "is a folder, not a file"),
    "an empty config": (text(""), "must contain keys and values"),
    "a config that is a list": (text("- a\n- b\n"), "must contain keys and values"),
    "not YAML": (text("name: [1, 2"), "not valid YAML"),
    "not UTF-8": (text(b"name: \xff\xfe"), "not valid YAML"),
    "a YAML tag that would run code": (
        text("name: !!python/object/apply:os.system ['touch /tmp/owned']\n"), "not valid YAML",
    ),
    "no data": (text("name: x\n"), "'data' is missing"),
    "no name": (text("data: {kind: sklearn}\n"), "'name' is missing"),
    "data that is a text": (text("name: x\ndata: digits\n"), "data: Input should be a valid dictionary"),
    "an unknown data kind": (text("name: x\ndata: {kind: sklern}\n"), "sklern"),
    "a name that is a path": (digits("name=../elsewhere"), "name: String should match pattern"),
    "an arm that is a path": (digits("arms.0.name=../../elsewhere"), "arms.0.name"),
    "a name of a baseline": (digits("arms.0.name=random"), "reserved for a baseline"),
    "augmented vectors": (
        of_data({"kind": "sklearn", "name": "iris"}, training={"augment": ["flip"]}), "augment: flip is for images"
    ),
    "augmented windows": (
        of_data({"kind": "sensors", "name": "traffic_counts"}, model="stid", training={"augment": ["crop"]}),
        "augment: crop is for images",
    ),
    "misspelt key": (digits("sed=1"), "did you mean 'seed'"),
    "misspelt key in a section": (digits("graph.kk=3"), "unknown key 'graph.kk'"),
    "misspelt key of the audit": (digits("audit.epoch=3"), "did you mean 'epochs'"),
    "misspelt key of the short run": (digits("short_run.epoch=3"), "did you mean 'epochs'"),
    "misspelt key two sections down": (
        digits("training.init=seed", "training.shrink_and_perturb.nois=0.1"), "did you mean 'noise'"
    ),
    "jest without a reference": (digits("arms=[{name: mine, sampler: jest}]"), "needs reference_losses"),
    "weights without scores": (digits("arms=[{name: mine, sampler: score_weighted}]"), "name a score"),
    "misspelt method": (digits("extrapolators=[knm]", "arms=[]"), "did you mean 'knn'"),
    "misspelt rule": (digits("arms.0.rule=tops"), "did you mean 'top'"),
    "misspelt sampler": (digits("training.sampler=rs3"), "did you mean 'rs2'"),
    "misspelt model": (digits("model.name=smal_cnn"), "did you mean 'small_cnn'"),
    "misspelt option": (digits("scores.0.windo=3"), "did you mean 'window'"),
    "misspelt option of a model": (digits("model.widht=3"), "did you mean 'width'"),
    "a text for a number": (digits("seeds.fraction=much"), "seeds.fraction"),
    "a fraction above 1": (digits("seeds.fraction=1.5"), "less than 1"),
    "a negative keep": (digits("arms.0.keep=-0.1"), "greater than 0"),
    "NaN as learning rate": (digits("training.lr=.nan"), "training.lr"),
    "no epochs": (digits("training.epochs=0"), "greater than 0"),
    "endless epochs": (digits("training.epochs=.inf"), "training.epochs"),
    "no random state": (digits("training.random_states=[]"), "random_states"),
    "the same score twice": (digits("scores=[loss, loss]", "arms=[]"), "duplicate entry 'loss'"),
    "an arm on a score that nobody computes": (digits("arms.0.score=loss"), "is not computed"),
    "an override without value": (digits("seed"), "not of the form"),
    "an override beyond a list": (digits("arms.9.keep=0.5"), "not a position"),
    "a negative seed": (lambda f: ("run", DIGITS, "--seed", -1, "--out", f / "run"), "Invalid value for '--seed'"),
    "a device that is absent": (
        lambda f: ("run", DIGITS, "--device", "cuda:7", "--out", f / "run"), "not available",
    ),
    "an unknown device": (
        lambda f: ("run", DIGITS, "--device", "gpu", "--out", f / "run"),
        "device: String should match pattern",
    ),
    "too few seeds": (
        digits("seeds.fraction=0.01"),
        "'auto' needs 30 seed samples to fit, and seeds.fraction 0.01 of 1438 samples leaves 11",
    ),
    "graph.k beyond n": (digits("graph.k=5000"), "graph.k is 5000 but there are 1438 samples"),
    "a model for other data": (digits("model={name: stid}"), "STID forecasts windows"),
    "a key that is set twice": (text("name: x\nseed: 1\nseed: 2\n"), "'seed' is set twice, on lines 2 and 3"),
    "a value that is none of its type": (text("name: x\nseed: !!int ''\n"), "'' on line 2 is not a valid int"),
    "a truth for a number": (digits("seed=no"), "seed: expected a number or a string but received true or false"),
    "a batch that no machine holds": (digits("training.batch_size=99999999999999999999"), "training.batch_size"),
    "a position that is no digit": (digits("arms.²=1"), "is not a position"),
    "half a neighbor": (
        digits("extrapolators=[{name: knn, k: 1.5}]", "arms=[]"),
        "extrapolator 'knn': k must be an integer from 1 to 1,000,000,000 (received 1.5)",
    ),
    "no penalty": (digits("extrapolators=[{name: ridge, alphas: []}]", "arms=[]"), "alphas must be a list of one"),
    "a share above 1 for a rule": (
        digits("arms.0.rule={name: ccs, drop_hardest: 2}"), "drop_hardest must be a number from 0 to below 1",
    ),
    "more neighbors than the graph's for a rule": (
        digits("arms.0.rule={name: d2, k: 30}"), "k is 30 but the graph has 20 neighbors",
    ),
    "a model without width": (digits("model.width=0"), "width must be an integer from 1 to 65,536"),
    "a delta that is a text": (
        digits("training.sampler={name: infobatch, delta: x}"), "delta must be a number from 0 to 1",
    ),
    "a sampler of windows on images": (
        digits("arms=[{name: mine, sampler: st_prune}]"), "needs forecast errors, which only sensor data provide",
    ),
    "a windowed score on images": (digits("scores=[st_complexity]", "arms=[]"), "needs windows"),
    "a window longer than the run": (digits("scores.0.window=99"), "too few for a window of 99"),
    "a window longer than the oracle's run": (
        digits("training.epochs=3", "scores=[{name: dynamic_uncertainty, window: 5}]", "arms=[]"), "window of 5",
    ),
    "a file in the place of the run folder": (
        lambda f: ((f / "run").write_text(""), ("run", DIGITS, "--out", f / "run"))[1], "is a file",
    ),
    "fresh on a folder that is no run": (lambda f: ("run", DIGITS, "--out", f, "--fresh"), "not a run folder"),
    "data that only a program can hand over": (text("name: x\ndata: {kind: object}\n"), "for Python programs"),
    "an embedding file that is absent": (
        digits("embedding={source: file, path: nowhere.npy}"), "nowhere.npy does not exist",
    ),
    "plan of a bad config": (lambda f: ("plan", DIGITS, "--set", "graph.k=5000"), "choose a smaller k"),
    "plan of an absent config": (lambda f: ("plan", f / "absent.yaml"), "does not exist"),
    # arrays
    "npz without x": (arrays(y=Y), "has no array 'x'"),
    "npz of texts": (arrays(x=np.array([["a"]] * 60), y=Y), "must be numbers"),
    "npz of objects": (arrays(x=np.array([{}] * 60, dtype=object), y=Y), "not a readable .npz"),
    "npz without samples": (arrays(x=X[:0], y=Y[:0]), "N > 0"),
    "npz of a wrong shape": (arrays(x=X[:, 0], y=Y), "[N, D] or [N, C, H, W]"),
    "npz with NaN": (arrays(x=np.where(X > 2, np.nan, X), y=Y), "NaN or infinite"),
    "labels of another length": (arrays(x=X, y=Y[:50]), "one label per sample"),
    "labels that are floats": (arrays(x=X, y=Y.astype(float)), "integer class labels"),
    "negative labels": (arrays(x=X, y=Y - 1), "negative labels"),
    "labels that are no classes": (arrays(x=X, y=Y + 2**40), "number the classes from 0"),
    "duplicate ids": (arrays(x=X, y=Y, ids=np.zeros(60, int)), "some ids are duplicates"),
    "ids of another length": (arrays(x=X, y=Y, ids=np.arange(3)), "one id per sample"),
    "ids that are texts": (arrays(x=X, y=Y, ids=np.array(["ü"] * 60)), "they must be integers, one per sample"),
    "test samples of another shape": (arrays(x=X, y=Y, x_test=X[:, :2], y_test=Y), "give both the same shape"),
    "an npz that is none": (
        lambda f: ((f / "D.npz").write_bytes(b"PK\x03\x04"), of_data({"kind": "npz", "path": "{f}/D.npz"})(f))[1],
        "not a readable .npz",
    ),
    "an npz that is absent": (of_data({"kind": "npz", "path": "{f}/nö ne.npz"}), "nö ne.npz does not exist"),
    # parquet and images
    "parquet that is none": (
        lambda f: ((f / "D.parquet").write_bytes(b"PAR1"),
                   of_data({"kind": "parquet", "path": "{f}/D.parquet"})(f))[1], "D.parquet",
    ),
    "parquet without an image column": (parquet({"a": [1, 2], "label": [0, 1]}), "no image column"),
    "parquet without the named column": (images(4, 4, image="pic"), "no column 'pic'"),
    "labels in parquet that are captions": (
        parquet({"image": [{"bytes": b""}] * 2, "label": ["a", "b"]}), "are not class names",
    ),
    "an image that is none": (images(*[4] * 9, b"no image"), "cannot be decoded"),
    "an image without bytes": (images(*[4] * 9, None), "cannot be decoded"),
    "images of several sizes": (images(*[4] * 9, 5), "data.image_size"),
    "an image folder that is absent": (of_data({"kind": "imagefolder", "path": "{f}/none"}), "is not a folder"),
    "an image folder without classes": (of_data({"kind": "imagefolder", "path": "{f}"}), "no sub-folder with images"),
    # sensors
    "a series of one dimension": (sensors(READINGS[:, 0, 0], suffix=".npy", steps_per_day=24), "[time, sensor]"),
    "a series without clock": (sensors({"values": READINGS}), "no time stamps"),
    "a clock that runs backwards": (
        sensors({"values": READINGS, "timestamps": CLOCK[::-1].astype(str)}), "do not ascend",
    ),
    "a clock that jumps": (
        sensors({"values": READINGS, "timestamps": (CLOCK + (np.arange(400) > 200) * (HOUR // 3)).astype(str)}),
        "the clock jumps at 2024-01-09",
    ),
    "time stamps that are none": (sensors({"values": READINGS, "timestamps": ["?"] * 400}), "time stamps"),
    "a sensor that is never read": (
        sensors({"values": np.where(np.arange(3)[:, None] == 1, np.nan, READINGS), "timestamps": CLOCK.astype(str)}),
        "have no reading",
    ),
    "a window beyond the series": (
        sensors({"values": READINGS, "timestamps": CLOCK.astype(str)}, window=3000), "too short: window 3000",
    ),
    "a channel that is absent": (
        sensors({"values": READINGS, "timestamps": CLOCK.astype(str)}, target="PM2.5"), "unknown channel of D 'PM2.5'",
    ),
    "a pickle": (sensors(raw=b"\x80\x04K\x01.", suffix=".pkl"), "can run code"),
    "a suffix that nobody knows": (sensors(raw=b"", suffix=".xlsx"), "convert it to .npz"),
    "an HDF5 file that is none": (sensors(raw=b"\x89HDF", suffix=".h5"), "not a readable HDF5"),
    "an empty csv": (sensors(raw=b"", suffix=".csv"), "begins with an empty line"),
    "a ragged csv": (sensors(raw=b"time,a,b\n2024-01-01,1\n", suffix=".csv"), "not a readable table"),
    "links for other sensors": (
        lambda f: (np.save(f / "A.npy", np.eye(7)),
                   sensors({"values": READINGS, "timestamps": CLOCK.astype(str)}, adjacency=str(f / "A.npy"))(f))[1],
        "[7, 7] but the series has 3 sensors",
    ),
    # graph
    "missing argument": (lambda f: ("graph", "--out", f / "G"), "Missing option '--embeddings'"),
    "a command that is none": (lambda f: ("grapf",), "No such command"),
    "an option that is none": (lambda f: ("methods", "--jsn"), "No such option: --jsn"),
    "a text for k": (
        lambda f: ("graph", "--embeddings", f / "E.npy", "--k", "x", "--out", f / "G"),
        "Invalid value for '--k'",
    ),
    "k beyond n": (
        lambda f: ("graph", "--embeddings", f / "E.npy", "--k", 120, "--out", f / "G"),
        "k must be from 1 to 119",
    ),
    "a huge k": (
        lambda f: ("graph", "--embeddings", f / "E.npy", "--k", 10**12, "--out", f / "G"),
        "k must be from 1 to 119",
    ),
    "unknown metric": (
        lambda f: ("graph", "--embeddings", f / "E.npy", "--metric", "cosin", "--out", f / "G"),
        "use one of euclidean, cosine, inner",
    ),
    "unknown backend": (
        lambda f: ("graph", "--embeddings", f / "E.npy", "--backend", "hnsw", "--out", f / "G"),
        "use one of auto, exact, ivf",
    ),
    "NaN embeddings": (
        saved("bad.npy", np.where(X > 2, np.nan, X), *GRAPH), "NaN or infinite values, the first is id",
    ),
    "zero vectors under cosine": (saved("bad.npy", X * 0, *GRAPH, "--metric", "cosine"), "zero vectors"),
    "float64 embeddings": (saved("bad.npy", X.astype(float), *GRAPH), "astype(numpy.float32)"),
    "embeddings of one dimension": (saved("bad.npy", X[:, 0], *GRAPH), "[N, D]"),
    "no embeddings": (saved("bad.npy", X[:0], *GRAPH), "[N, D]"),
    "not npy": (lambda f: ("graph", "--embeddings", f / "S.parquet", "--out", f / "G"), "S.parquet"),
    "an npy of nothing": (raw_npy(b"", *GRAPH), "not a readable .npy"),
    "an npy that ends early": (raw_npy(npy_header("(60, 4)") + b"\0" * 40, *GRAPH), "not a readable .npy"),
    "an npy that claims exabytes": (raw_npy(npy_header(f"({2**40}, {2**20})"), *GRAPH), "not a readable .npy"),
    "an npy of negative shape": (raw_npy(npy_header("(-5, 4)") + b"\0" * 80, *GRAPH), "shape [-5, 4]"),
    "an npy of pickled objects": (
        saved("bad.npy", np.array([[{}]], dtype=object), *GRAPH, allow_pickle=True), "not a readable .npy",
    ),
    "vectors of several lengths in parquet": (
        lambda f: (pq.write_table(pa.table({"embedding": [[1.0], [1.0, 2.0]]}), f / "e.parquet"),
                   ("graph", "--embeddings", f / "e.parquet", "--out", f / "H"))[1], "2 values in row 1 but 1 in row 0",
    ),
    "no tensor in safetensors": (
        lambda f: ((f / "e.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}"),
                   ("graph", "--embeddings", f / "e.safetensors", "--out", f / "H"))[1], "tensor [N, D]",
    ),
    # scores from logs
    "unknown score": (
        lambda f: ("score", "--trajectories", f / "T.npz", "--score", "tddss", "--out", f / "x.parquet"),
        "did you mean 'tdds'",
    ),
    "too few epochs": (
        lambda f: ("score", "--trajectories", f / "T.npz", "--score", "tdds", "--set", "T=30", "--out", f / "x.csv"),
        "has 14 epochs but T is 30",
    ),
    "a log of nothing": (log(), "give either probs"),
    "a log without labels": (log(probs=PROBS), "probs need labels"),
    "labels out of range": (log(probs=PROBS, labels=np.full(6, 9)), "6 are outside 0..1, the first is 9"),
    "numbers that are no probabilities": (log(probs=PROBS * 3, labels=np.zeros(6, int)), "not probabilities in [0, 1]"),
    "NaN in a log": (log(probs=PROBS * np.nan, labels=np.zeros(6, int)), "not probabilities"),
    "a log of two dimensions": (log(probs=PROBS[0], labels=np.zeros(6, int)), "[E, N, C]"),
    "duplicate ids in a log": (
        log(probs=PROBS, labels=np.zeros(6, int), ids=np.zeros(6, int)), "duplicate ids; ids must be unique",
    ),
    "an option called kind": (log("--score", "loss", "--set", "kind=3"), "of score 'loss' 'kind'"),
    "an option called name": (log("--score", "loss", "--set", "name=3"), "of score 'loss' 'name'"),
    "an option that is given twice": (log("--score", "tdds", "--set", "T=3", "--set", "T=4"), "T is given twice"),
    "an option of a score that is a text": (
        log("--score", "tdds", "--set", "T=many", probs=PROBS, labels=np.zeros(6, int)), "T must be an integer",
    ),
    "a score that the log is too poor for": (
        log("--score", "entropy", p_true=PROBS[:, :, 0]), "does not contain",
    ),
    # extrapolate
    "unknown extrapolator": (graphed("--method", "knnn"), "did you mean 'knn'"),
    "a graph that is absent": (graphed("--graph", "{f}/none"), "graph.json does not exist"),
    "a graph of other samples": (
        graphed(G=lambda g: np.save(g / "indices.npy", np.load(g / "indices.npy")[:50])),
        "refers to rows outside its 50 samples",
    ),
    "a graph that points outside": (
        graphed(G=lambda g: np.save(g / "indices.npy", np.load(g / "indices.npy") + 100)),
        "refers to rows outside its 120 samples",
    ),
    "a graph.json that is none": (graphed(G=lambda g: (g / "graph.json").write_text("{")), "not valid JSON"),
    "a graph.json that is a list": (graphed(G=lambda g: (g / "graph.json").write_text("[]")), "graph.json"),
    "more neighbours than seeds": (
        graphed(f=lambda f: ScoreTable([0, 1], [1.0, 2.0], True).to_parquet(f / "S.parquet")), "give at least 20",
    ),
    "seeds outside the data": (
        graphed(f=lambda f: ScoreTable([0, 999], [1.0, 2.0], True).to_parquet(f / "S.parquet")), "first is 999",
    ),
    "labels for fewer samples": (
        graphed("--labels", "{f}/y.npy", f=lambda f: np.save(f / "y.npy", np.arange(5))),
        "labels covers 5 samples but the embeddings cover 120",
    ),
    "ids that are not ascending": (
        graphed("--ids", "{f}/i.npy", f=lambda f: np.save(f / "i.npy", np.arange(120)[::-1])), "ascending",
    ),
    "an extrapolator that needs labels": (graphed("--method", "class_mean"), "needs labels"),
    "an extrapolator that needs probes": (graphed("--method", "seed_entropy"), "--probes"),
    "an extrapolator that needs a short run": (graphed("--method", "short_run"), "--short-run"),
    "probes without probs": (
        graphed("--probes", "{f}/T.npz", f=lambda f: np.savez(f / "T.npz", a=X)),
        "must hold probs [P, N, C]",
    ),
    # evaluate and select
    "nothing predicted": (lambda f: ("evaluate", f / "TRUTH.parquet", f / "TRUTH.parquet"), "no row with source"),
    **{
        f"evaluate with {setting}": (
            lambda f, given=setting: ("evaluate", f / "TRUTH.parquet", f / "TRUTH.parquet", "--set", given), message,
        )
        for setting, message in {
            "zzz=1": "unknown option of evaluate 'zzz'; known are: block, n_bootstrap",
            "std=1": "unknown option of evaluate 'std'",
            "seed=1": "unknown option of evaluate 'seed'",
            "predicted=1": "unknown option of evaluate 'predicted'",
            "labels=x": "unknown option of evaluate 'labels'",
            "n_bootstrap=2.5": "evaluate: n_bootstrap must be an integer from 0 to 1,000,000 (received 2.5)",
            "n_bootstrap=.nan": "n_bootstrap must be an integer",
            "block=x": "evaluate: block must be an integer from 1 to 1,000,000,000 (received 'x')",
            "block=.inf": "block must be an integer",
            "block=!!int ''": "'' on line 1 is not a valid int",
        }.items()
    },
    "a rule with an option called kind": (
        lambda f: ("select", f / "TRUTH.parquet", "--keep", 1, *RULE, "--set", "kind=1", "--out", f / "x.txt"),
        "unknown option of selection 'top' 'kind'; it takes none",
    ),
    "an extrapolator with an option called name": (graphed("--set", "name=x"), "of extrapolator 'knn' 'name'"),
    "a suffix that holds no scores": (
        lambda f: ("evaluate", f / "E.npy", f / "TRUTH.parquet"), "reads .parquet, .csv or .jsonl",
    ),
    "not parquet": (
        lambda f: ((f / "J.parquet").write_text("x"), ("evaluate", f / "J.parquet", f / "TRUTH.parquet"))[1],
        "not a readable Parquet",
    ),
    "scores without ids": (scores({"value": [1.0]}, *SELECT), "no column 'sample_id'"),
    "scores that are texts": (scores({"sample_id": [1], "value": ["a"]}, *SELECT), "must be numbers"),
    "ids that are floats": (scores({"sample_id": [1.5], "value": [1.0]}, *SELECT), "must be integers"),
    "scores with duplicate ids": (scores({"sample_id": [1, 1], "value": [1.0, 2.0]}, *SELECT), "more than once"),
    "scores that are missing": (
        scores({"sample_id": [1, 2], "value": [1.0, None]}, *SELECT), "1 of 2 samples contain NaN",
    ),
    "scores of an unknown source": (
        scores({"sample_id": [1], "value": [1.0], "source": ["guessed"]}, *SELECT), "'guessed'",
    ),
    "a score table without rows": (
        scores({"sample_id": pa.array([], pa.int64()), "value": pa.array([], pa.float32())}, *SELECT), "empty",
    ),
    "keep above 1": (
        lambda f: ("select", f / "TRUTH.parquet", "--keep", 1.5, "--rule", "top", "--out", f / "x.csv"), "keep is 1.5",
    ),
    "keep that is NaN": (
        lambda f: ("select", f / "TRUTH.parquet", "--keep", "nan", "--rule", "top", "--out", f / "x.txt"),
        "keep is nan",
    ),
    "rule without labels": (
        lambda f: ("select", f / "TRUTH.parquet", "--keep", 0.5, "--rule", "top_per_class", "--out", f / "x.parquet"),
        "needs labels",
    ),
    "labels of another length for a rule": (saved("bad.npy", np.arange(5), *PER_CLASS), "covers 5 samples"),
    "labels with fractions for a rule": (saved("bad.npy", np.ones(120), *PER_CLASS), "integers"),
    # train and report
    "no arm": (lambda f: ("train", DIGITS, "--out", f / "r"), "either --selection"),
    "two arms": (
        lambda f: ("train", DIGITS, "--selection", f / "K", "--sampler", "rs2", "--out", f / "r"), "either --selection",
    ),
    "a selection from other data": (
        lambda f: (Selection(np.arange(4), np.ones(4, np.float32), {"fingerprint": "other"})
                   .to_parquet(f / "K.parquet"),
                   ("train", DIGITS, "--selection", f / "K.parquet", "--out", f / "r"))[1],
        "come from different data sets",
    ),
    "foreign selection": (
        lambda f: (Selection(np.array([10**9]), np.ones(1, np.float32)).to_parquet(f / "K.parquet"),
                   ("train", DIGITS, "--selection", f / "K.parquet", "--out", f / "r"))[1],
        "first is 1000000000",
    ),
    "negative weights": (
        scores({"sample_id": [0], "weight": [-1.0]}, "train", DIGITS, "--selection", "{f}/B.parquet",
               "--out", "{f}/r"), "not negative",
    ),
    "weights that are NaN": (
        scores({"sample_id": [0], "weight": [float("nan")]}, "train", DIGITS, "--selection", "{f}/B.parquet",
               "--out", "{f}/r"), "must be finite",
    ),
    "weights of 0 alone": (
        scores({"sample_id": [0, 1], "weight": [0.0, 0.0]}, "train", DIGITS, "--selection", "{f}/B.parquet",
               "--out", "{f}/r"), "all weights are 0",
    ),
    "a selection with duplicates": (
        scores({"sample_id": [1, 1]}, "train", DIGITS, "--selection", "{f}/B.parquet",
               "--out", "{f}/r"), "without duplicates",
    ),
    "an empty selection": (
        scores({"sample_id": np.zeros(0, int)}, "train", DIGITS, "--selection", "{f}/B.parquet",
               "--out", "{f}/r"), "so no sample is kept",
    ),
    "a sampler that is a path": (
        lambda f: ("train", DIGITS, "--sampler", "../../x", "--out", f / "r"), "unknown sampler",
    ),
    "not a run": (lambda f: ("report", f), "no metrics.json"),
    "embed of images by statistics": (
        lambda f: ("embed", DIGITS, "--set", "embedding.source=statistics", "--set", "embedding.path=null",
                   "--out", f / "e.npy"), "is for windows of sensor data",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_touches_nothing(run, files, case):
    make, message = CASES[case]
    arguments = make(files)
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    code, out, err = run(*arguments)
    assert code == 2, err
    assert message in " ".join(err.split())
    assert out == ""
    # One sentence: one line that says "error" once, and nothing of Python.
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert not re.search(r"Traceback|<class|0x[0-9a-f]{6}", err)
    after = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} <= {".lock"}
    assert all(after[path] == content for path, content in before.items())


def test_there_are_cases_enough_for_every_command(files):
    used = {case[0](files)[0] for case in CASES.values()}
    assert len(CASES) >= 60
    assert all(len(message) > 4 for _, message in CASES.values())
    assert {"run", "plan", "score", "graph", "extrapolate", "evaluate", "select", "train", "report"} <= used
