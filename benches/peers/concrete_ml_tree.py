"""Measure Concrete ML's decision tree on a card-transaction table, for comparison with `card-fraud`.

    python -m venv peers && . peers/bin/activate
    pip install -r requirements.txt
    python concrete_ml_tree.py FILE.csv [--bits 6 8 10] [--predictions 10] [--max-depth 7]

FILE.csv has the columns of the public card-transaction set; `cargo run --release -p card-fraud -- generate --output
FILE.csv` makes one. For each bit width the script trains a tree with balanced classes on 80 % of the rows
(stratified), compiles it, generates keys and predicts held-out rows under encryption, one at a time. It prints one
JSON object with versions, the machine, and for each bit width: nodes and depth, accuracy on all held-out rows in the
clear, times of compilation, key generation and each prediction (encryption, evaluation and decryption together, and
evaluation alone), and the sizes of evaluation key, query and answer.
"""

import argparse
import json
import os
import platform
import statistics
import time

import concrete.ml
import numpy as np
import pandas as pd
import sklearn
from concrete.ml.sklearn import DecisionTreeClassifier
from sklearn.model_selection import train_test_split

FEATURES = [
    "distance_from_home",
    "distance_from_last_transaction",
    "ratio_to_median_purchase_price",
    "repeat_retailer",
    "used_chip",
    "used_pin_number",
    "online_order",
]


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def seconds(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def measure(train, test, bits, max_depth, predictions):
    model = DecisionTreeClassifier(n_bits=bits, max_depth=max_depth, class_weight="balanced", random_state=1)
    model.fit(*train)
    clear = model.predict(test[0])
    compiling, circuit = seconds(lambda: model.compile(train[0][:1000]))
    generating, _ = seconds(lambda: circuit.client.keygen(force=True))
    keys = len(circuit.client.evaluation_keys.serialize())

    # The parts of one prediction, for their sizes and for the time of the evaluation alone.
    quantized = model.quantize_input(test[0][:1])
    encrypted = circuit.encrypt(quantized)
    evaluating, answer = seconds(lambda: circuit.run(encrypted))

    times, agreeing = [], 0
    for row in range(predictions):
        spent, verdict = seconds(lambda: model.predict(test[0][row : row + 1], fhe="execute"))
        times.append(spent)
        agreeing += int(verdict[0] == clear[row])
    tree = model.sklearn_model.tree_
    return {
        "bits": bits,
        "nodes": int(tree.node_count),
        "depth": int(tree.max_depth),
        "accuracy_clear": float((clear == test[1]).mean()),
        "compile_s": compiling,
        "keygen_s": generating,
        "evaluation_key_bytes": keys,
        "query_bytes": len(encrypted.serialize()),
        "answer_bytes": len(answer.serialize()),
        "evaluate_s": evaluating,
        "predict_s": {"median": statistics.median(times), "least": min(times), "greatest": max(times)},
        "predictions": predictions,
        "agreeing_with_clear": agreeing,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="CSV file with the columns of the public card-transaction set")
    parser.add_argument("--bits", type=int, nargs="+", default=[6, 8, 10])
    parser.add_argument("--predictions", type=int, default=10)
    parser.add_argument("--max-depth", type=int, default=7)
    arguments = parser.parse_args()
    table = pd.read_csv(arguments.data)
    x = table[FEATURES].to_numpy(dtype=np.float32)
    y = table["fraud"].to_numpy(dtype=np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=1)
    report = {
        "concrete-ml": concrete.ml.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "rows": len(table),
        "results": [],
    }
    for bits in arguments.bits:
        report["results"].append(
            measure((x_train, y_train), (x_test, y_test), bits, arguments.max_depth, arguments.predictions)
        )
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
