"""Train the small models that the import tests read, and write what their frameworks predict.

For every model NAME this writes

* NAME.onnx           the model as skl2onnx or onnxmltools exports it,
* NAME.json           for XGBoost, its own JSON form as well,
* NAME.csv            rows and predictions (columns below).

Columns of NAME.csv: `x0 ... x{d-1}` the features, as the shortest decimals that give back the float32 values;
`label` and `score0 ...` what the framework itself predicts (class probabilities, or the regression values);
`runtime_label` and `runtime_score0 ...` what ONNX Runtime predicts from NAME.onnx.
Regressors have no label columns; double_*, modes_* and ties_*, which no framework exports, have the runtime's columns only.

A third of the rows is drawn like the training data. The others are drawn the same way, after which one to three of
their features are replaced by a threshold of the model, or by the float32 just below or just above a threshold: a
reader of the model that takes `<` for `<=`, or compares in double precision, fails on them.

Run in a virtual environment with the versions of requirements.txt:

    python make_models.py [OUTPUT_FOLDER]

Everything is seeded; the same versions give the same files.

LightGBM compares in double precision with double thresholds, which its exporter rounds to float32. A float32 value
that lies between the two is decided differently by LightGBM and by the exported file. The script counts these rows
and leaves them out.
"""

import json
import pathlib
import platform
import sys

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import skl2onnx
import sklearn
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as OnnxmlFloat
from skl2onnx.common.data_types import FloatTensorType as SklFloat
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

FEATURES = 6
TRAINING_ROWS = 600
TEST_ROWS = 240
NAMES = np.array(["clear", "check", "block"])
OPSET = {"": 15, "ai.onnx.ml": 3}


def draw_features(rng, rows):
    """Two heavy-tailed amounts, two bell curves, a small count and a switch, in float32."""
    columns = [
        rng.lognormal(2.0, 1.5, rows),
        rng.lognormal(0.0, 1.0, rows),
        rng.normal(0.0, 1.0, rows),
        rng.normal(10.0, 4.0, rows),
        rng.integers(0, 9, rows),
        rng.integers(0, 2, rows),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def draw_target(rng, x):
    """A smooth value with interactions and noise; classes are cut out of it."""
    value = (
        np.log1p(x[:, 0]) * (1 + x[:, 5])
        + 2.0 * (x[:, 1] > 2.0)
        + 0.8 * x[:, 2] * (x[:, 4] > 4)
        + np.sin(x[:, 3] / 3.0)
    )
    return value + rng.normal(0.0, 0.4, len(x))


def classes(value, count):
    """Cut a value into `count` classes, each larger than the one before (so that no base value is zero)."""
    edges = np.quantile(value, (np.arange(1, count) / count) ** 1.5)
    return np.searchsorted(edges, value)


def attributes(model):
    """The attributes of the tree ensemble node of an ONNX model, as Python values."""
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    raise ValueError("no tree ensemble in the model")


def thresholds(model):
    """(feature, threshold) of every branching node."""
    found = attributes(model)
    return [
        (feature, np.float32(value))
        for feature, value, mode in zip(found["nodes_featureids"], found["nodes_values"], found["nodes_modes"])
        if mode != b"LEAF"
    ]


def test_rows(rng, cuts):
    """Rows of which two thirds stand on, just below or just above thresholds; a few more than are needed."""
    x = draw_features(rng, TEST_ROWS + 40)
    for row in range(TEST_ROWS // 3, len(x)):
        for _ in range(rng.integers(1, 4)):
            feature, cut = cuts[rng.integers(len(cuts))]
            step = rng.integers(3)
            below, above = np.nextafter(cut, np.float32(-np.inf)), np.nextafter(cut, np.float32(np.inf))
            x[row, feature] = (cut, below, above)[step]
    return x


def shortest(value):
    """The shortest decimals that read back as the same float of the value's own precision."""
    if isinstance(value, (np.integer, int)):
        return str(int(value))
    if isinstance(value, str):
        return value
    if isinstance(value, np.float32):
        return np.format_float_scientific(value, unique=True, trim="-")
    return repr(float(value))


def take(prediction, rows):
    labels, scores = prediction
    return None if labels is None else labels[rows], scores[rows]


def two_dimensional(scores):
    scores = np.asarray(scores)
    return scores.reshape(len(scores), -1)


def runtime_predictions(model, x, is_classifier):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: x})
    if not is_classifier:
        return None, two_dimensional(outputs[0])
    scores = outputs[1]
    if isinstance(scores, list):  # ZipMap: one dictionary for each row
        scores = np.array([[row[key] for key in sorted(row)] for row in scores], dtype=np.float32)
    return outputs[0], two_dimensional(scores)


def write_csv(path, x, framework, runtime):
    header = [f"x{i}" for i in range(x.shape[1])]
    columns = [x[:, i] for i in range(x.shape[1])]
    for prefix, prediction in (("", framework), ("runtime_", runtime)):
        if prediction is None:
            continue
        labels, scores = prediction
        if labels is not None:
            header.append(f"{prefix}label")
            columns.append(labels)
        for i in range(scores.shape[1]):
            header.append(f"{prefix}score{i}")
            columns.append(scores[:, i])
    lines = [",".join(header)]
    lines += [",".join(shortest(column[row]) for column in columns) for row in range(len(x))]
    path.write_text("\n".join(lines) + "\n")


def strip(model):
    """Drop what says nothing and changes from run to run: doc strings, and the order of the operator sets."""
    model.doc_string = ""
    model.graph.doc_string = ""
    sets = {opset.domain: opset.version for opset in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, sets[domain]) for domain in sorted(sets))
    return model


class Factory:
    """Trains, exports and writes one model after the other, each with a random stream of its own."""

    def __init__(self, folder):
        self.folder = folder

    def data(self, name, class_count):
        rng = np.random.default_rng([ord(letter) for letter in name])
        x = draw_features(rng, TRAINING_ROWS)
        value = draw_target(rng, x)
        y = value if class_count is None else classes(value, class_count)
        return rng, x, y

    def finish(self, name, rng, estimator, model, is_classifier):
        strip(model)
        (self.folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        x = test_rows(rng, thresholds(model))
        if is_classifier:
            framework = (estimator.predict(x), two_dimensional(estimator.predict_proba(x)))
        else:
            framework = (None, two_dimensional(estimator.predict(x)))
        runtime = runtime_predictions(model, x, is_classifier)
        same = np.abs(framework[1] - runtime[1]).max(axis=1) < 1e-4
        keep = np.flatnonzero(same)[:TEST_ROWS]
        x, framework, runtime = x[keep], take(framework, keep), take(runtime, keep)
        write_csv(self.folder / f"{name}.csv", x, framework, runtime)
        worst = np.abs(framework[1] - runtime[1]).max()
        labels = "" if not is_classifier else f", labels differ on {(framework[0] != runtime[0]).sum()}"
        size = (self.folder / f"{name}.onnx").stat().st_size
        print(
            f"{name}: {size} bytes, {len(keep)} rows, {(~same).sum()} left out; "
            f"framework and runtime: scores differ by up to {worst:.3g}{labels}"
        )

    def scikit(self, name, estimator, class_count=None, targets=1, zipmap=True, names=None):
        rng, x, y = self.data(name, class_count)
        if targets > 1:
            y = np.stack([y, -0.5 * y + x[:, 2]], axis=1)
        if names is not None:
            y = names[y]
        estimator.fit(x, y)
        options = {"zipmap": zipmap} if class_count else None
        model = skl2onnx.convert_sklearn(
            estimator,
            name,
            [("X", SklFloat([None, FEATURES]))],
            target_opset=OPSET,
            options={id(estimator): options} if options else None,
        )
        self.finish(name, rng, estimator, model, class_count is not None)

    def double(self, name, source, is_classifier):
        """The model `source` with double inputs and the `_as_tensor` attributes; runtime predictions only."""
        model = onnx.load(self.folder / f"{source}.onnx")
        model.graph.name = name
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
        node = model.graph.node[0]
        for attribute in list(node.attribute):
            if attribute.name in ("nodes_values", "nodes_hitrates", "target_weights", "class_weights"):
                values = np.array(attribute.floats, dtype=np.float64)
                tensor = onnx.numpy_helper.from_array(values, attribute.name)
                node.attribute.remove(attribute)
                node.attribute.append(onnx.helper.make_attribute(f"{attribute.name}_as_tensor", tensor))
        for opset in model.opset_import:
            if opset.domain == "ai.onnx.ml":
                opset.version = 3
        (self.folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        rng = np.random.default_rng([ord(letter) for letter in name])
        cuts = thresholds(onnx.load(self.folder / f"{source}.onnx"))
        x = draw_features(rng, TEST_ROWS).astype(np.float64)
        for row in range(TEST_ROWS // 3, TEST_ROWS):
            feature, cut = cuts[rng.integers(len(cuts))]
            cut = np.float64(cut)
            x[row, feature] = (cut, np.nextafter(cut, -np.inf), np.nextafter(cut, np.inf))[rng.integers(3)]
        write_csv(self.folder / f"{name}.csv", x, None, runtime_predictions(model, x, is_classifier))
        print(f"{name}: {len(x)} rows")

    def by_hand(self, name, operator, trees, leaf_prefix, outputs, **attributes):
        """A model that no exporter writes, from nested lists; runtime predictions only.

        A tree is `(mode, feature, threshold, if true, if false)`, a leaf `{class or target: weight}`.
        """
        nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
        leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

        def add(tree, node):
            position = len(nodes["nodeids"])
            number = sum(found == tree for found in nodes["treeids"])
            mode, feature, threshold = ("LEAF", 0, 0.0) if isinstance(node, dict) else node[:3]
            row = (tree, number, feature, threshold, mode, 0, 0)
            for key, value in zip(nodes, row):
                nodes[key].append(value)
            if isinstance(node, dict):
                for output, weight in node.items():
                    for key, value in zip(leaves, (tree, number, output, weight)):
                        leaves[key].append(value)
            else:
                nodes["truenodeids"][position] = add(tree, node[3])
                nodes["falsenodeids"][position] = add(tree, node[4])
            return number

        for tree, root in enumerate(trees):
            add(tree, root)
        attributes |= {f"nodes_{key}": value for key, value in nodes.items()}
        attributes |= {f"{leaf_prefix}_{key}": value for key, value in leaves.items()}
        is_classifier = leaf_prefix == "class"
        results = [("scores", onnx.TensorProto.FLOAT, [None, outputs])]
        if is_classifier:
            results.insert(0, ("label", onnx.TensorProto.INT64, [None]))
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(operator, ["X"], [r[0] for r in results], domain="ai.onnx.ml", **attributes)],
            name,
            [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [None, FEATURES])],
            [onnx.helper.make_tensor_value_info(*result) for result in results],
        )
        opsets = [onnx.helper.make_opsetid("", 15), onnx.helper.make_opsetid("ai.onnx.ml", 1)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
        (self.folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        x = test_rows(np.random.default_rng([ord(letter) for letter in name]), thresholds(model))[:TEST_ROWS]
        write_csv(self.folder / f"{name}.csv", x, None, runtime_predictions(model, x, is_classifier))
        print(f"{name}: {len(x)} rows")

    def xgboost(self, name, estimator, class_count=None):
        rng, x, y = self.data(name, class_count)
        estimator.fit(x, y)
        model = onnxmltools.convert_xgboost(
            estimator, name, [("X", OnnxmlFloat([None, FEATURES]))], target_opset=OPSET[""]
        )
        estimator.get_booster().save_model(self.folder / f"{name}.json")
        self.finish(name, rng, estimator, model, class_count is not None)

    def lightgbm(self, name, estimator, class_count=None):
        rng, x, y = self.data(name, class_count)
        estimator.fit(x, y)
        model = onnxmltools.convert_lightgbm(
            estimator, name, [("X", OnnxmlFloat([None, FEATURES]))], target_opset=OPSET[""]
        )
        self.finish(name, rng, estimator, model, class_count is not None)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)
    versions = {
        module.__name__: module.__version__
        for module in (sklearn, skl2onnx, onnx, onnxmltools, onnxruntime, xgboost, lightgbm, np)
    }
    print(json.dumps({"python": platform.python_version(), **versions}))
    make = Factory(folder)

    make.scikit("sk_tree_2", DecisionTreeClassifier(max_depth=5, random_state=1), 2)
    make.scikit("sk_tree_4", DecisionTreeClassifier(max_depth=6, random_state=2), 4, zipmap=False)
    make.scikit("sk_forest_2", RandomForestClassifier(10, max_depth=5, random_state=3), 2, zipmap=False)
    make.scikit("sk_forest_3", RandomForestClassifier(8, max_depth=5, random_state=4), 3)
    make.scikit("sk_extra_3", ExtraTreesClassifier(6, max_depth=5, random_state=5), 3, zipmap=False)
    make.scikit("sk_boost_2", GradientBoostingClassifier(n_estimators=12, max_depth=3, random_state=6), 2)
    make.scikit("sk_boost_3", GradientBoostingClassifier(n_estimators=6, max_depth=3, random_state=7), 3)
    make.scikit("sk_tree_names", DecisionTreeClassifier(max_depth=4, random_state=18), 3, zipmap=False, names=NAMES)
    make.scikit("sk_tree_value", DecisionTreeRegressor(max_depth=6, random_state=8))
    make.scikit("sk_tree_values", DecisionTreeRegressor(max_depth=5, random_state=9), targets=2)
    make.scikit("sk_forest_value", RandomForestRegressor(8, max_depth=5, random_state=10))
    make.scikit("sk_boost_value", GradientBoostingRegressor(n_estimators=12, max_depth=3, random_state=11))

    make.double("double_3", "sk_extra_3", True)
    make.double("double_value", "sk_forest_value", False)

    # Every node mode, two targets of which a leaf may leave one out, an average, base values. The last tree's leaves
    # name both targets: ONNX Runtime drops the base value of a target that none of a row's leaves names.
    modes = [
        ("BRANCH_LT", 0, 8.0, ("BRANCH_EQ", 4, 3.0, {0: 1.0, 1: -2.0}, {0: 0.25}), ("BRANCH_GTE", 1, 1.5, {1: 4.0}, {})),
        ("BRANCH_GT", 3, 10.0, ("BRANCH_NEQ", 5, 1.0, {0: 0.5}, {1: 0.125}), ("BRANCH_LEQ", 2, -0.25, {0: 9.0}, {1: 3.0})),
        ("BRANCH_EQ", 4, 5.0, {0: 64.0, 1: 0.0}, ("BRANCH_EQ", 4, 6.0, {0: 16.0, 1: 32.0}, {0: 0.0, 1: 8.0})),
    ]
    make.by_hand("modes_values", "TreeEnsembleRegressor", modes, "target", 2,
                 n_targets=2, aggregate_function="AVERAGE", base_values=[0.5, -0.75])
    # Forests of full-grown trees vote with equal weights, so ties are common. The class id differs between the two.
    cuts = [(0, 7.0), (1, 1.0), (2, 0.0), (3, 10.0), (4, 4.0), (5, 0.0)]
    for name, count, output in (("ties_10", 10, 0), ("ties_6", 6, 1)):
        votes = [("BRANCH_LEQ", *cuts[i % 6], {output: 0.0}, {output: 1.0 / count}) for i in range(count)]
        make.by_hand(name, "TreeEnsembleClassifier", votes, "class", 2, classlabels_int64s=[0, 1])

    xgb = {"n_estimators": 10, "max_depth": 4, "n_jobs": 1}
    make.xgboost("xgb_2", xgboost.XGBClassifier(random_state=12, **xgb), 2)
    make.xgboost("xgb_3", xgboost.XGBClassifier(random_state=13, **{**xgb, "n_estimators": 6}), 3)
    make.xgboost("xgb_value", xgboost.XGBRegressor(random_state=14, **xgb))

    lgb = {"n_estimators": 10, "max_depth": 4, "num_leaves": 12, "verbose": -1, "n_jobs": 1, "deterministic": True}
    make.lightgbm("lgb_2", lightgbm.LGBMClassifier(random_state=15, **lgb), 2)
    make.lightgbm("lgb_3", lightgbm.LGBMClassifier(random_state=16, **{**lgb, "n_estimators": 6}), 3)
    make.lightgbm("lgb_value", lightgbm.LGBMRegressor(random_state=17, **lgb))


if __name__ == "__main__":
    main()
