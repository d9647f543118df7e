"""Train small models of the kinds that people have in files, and write what their frameworks predict.

For every model NAME this writes `kinds/NAME.onnx`, `.json`, `.ubj` or `.txt`, and `kinds/NAME.csv`: features `x0 …`, empty where a value is
missing; `label` for a classification; `score0 …` the second class's probability, one for each class, or a regression's values.

Run with the versions of requirements.txt and catboost 1.2.10: `python make_kinds.py`. Everything is seeded. ONNX files differ from
run to run in names alone.
"""

import pathlib
import warnings

import catboost
import lightgbm
import numpy as np
import onnxmltools
import pandas
import skl2onnx
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as OnnxmlFloat
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

warnings.filterwarnings("ignore")
FOLDER = pathlib.Path(__file__).parent / "kinds"
ROWS, SHOWN = 300, 60
OPSET = {"": 15, "ai.onnx.ml": 3}
rng = np.random.default_rng(18)


def columns(missing):
    """An amount, a bell curve, a category and a small count, in float32."""
    x = np.stack(
        [rng.lognormal(2, 1, ROWS), rng.normal(0, 1, ROWS), rng.integers(0, 6, ROWS), rng.integers(0, 3, ROWS)], 1
    ).astype(np.float32)
    if missing:
        x[rng.random(x.shape) < 0.15] = np.nan
    return x


def target(x):
    x = np.nan_to_num(x, nan=1.5)
    return np.log1p(x[:, 0]) + x[:, 1] * (x[:, 2] == 3) + x[:, 3] + rng.normal(0, 0.3, ROWS)


def by_category(x):
    """A label that needs a set of categories."""
    return (np.isin(x[:, 2], [1, 3, 4]) ^ (np.nan_to_num(x[:, 1], nan=-1.0) > 1.0)).astype(int)


def write(name, x, label, scores):
    scores = np.asarray(scores).reshape(ROWS, -1)
    if label is not None and scores.shape[1] == 2:
        scores = scores[:, 1:]
    head = [f"x{i}" for i in range(4)] + (["label"] if label is not None else [])
    lines = [",".join(head + [f"score{i}" for i in range(scores.shape[1])])]
    for row in range(SHOWN):
        cells = ["" if np.isnan(value) else repr(float(value)) for value in x[row]]
        cells += [str(int(label[row]))] if label is not None else []
        lines.append(",".join(cells + [repr(float(score)) for score in scores[row]]))
    (FOLDER / f"{name}.csv").write_text("\n".join(lines) + "\n")


def predictions(name, estimator, x, classifier, given=None):
    given = x if given is None else given
    if classifier:
        write(name, x, np.asarray(estimator.predict(given)).ravel(), estimator.predict_proba(given))
    else:
        write(name, x, None, estimator.predict(given))


def booster(name, estimator, x, classifier, kinds=("json",), given=None):
    for kind in kinds:
        estimator.get_booster().save_model(FOLDER / f"{name}.{kind}")
    predictions(name, estimator, x, classifier, given)


def onnx(name, estimator, x, classifier, model):
    content = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    (FOLDER / f"{name}.onnx").write_bytes(content)
    predictions(name, estimator, x, classifier)


def scikit(estimator, **options):
    options = {id(estimator): {"zipmap": False, **options}}
    return skl2onnx.convert_sklearn(
        estimator, "m", [("X", FloatTensorType([None, 4]))], target_opset=OPSET, options=options
    )


def lgb(estimator, **options):
    return onnxmltools.convert_lightgbm(estimator, "m", [("X", OnnxmlFloat([None, 4]))], target_opset=15, **options)


def text(name, estimator, x, classifier):
    estimator.booster_.save_model(FOLDER / f"{name}.txt")
    predictions(name, estimator, x, classifier)


def cat(estimator):
    path = FOLDER / "catboost.tmp"
    estimator.save_model(str(path), format="onnx")
    content = path.read_bytes()
    path.unlink()
    return content


def main():
    FOLDER.mkdir(exist_ok=True)
    few = {"n_estimators": 4, "max_depth": 3, "n_jobs": 1}
    x, holes = columns(False), columns(True)
    y, y_holes = target(x), target(holes)
    two, two_holes = (y > np.median(y)).astype(int), (y_holes > np.median(y_holes)).astype(int)
    three = np.digitize(y_holes, np.quantile(y_holes, [0.4, 0.7]))
    positive = np.maximum(y - y.min(), 0.1)
    pair = np.stack([y_holes, -y_holes + np.nan_to_num(holes[:, 1])], 1)
    Classifier, Regressor = xgboost.XGBClassifier, xgboost.XGBRegressor

    booster("xgb_missing", Classifier(**few).fit(holes, two_holes), holes, True, ("json", "ubj"))
    zeros = np.where(rng.random(x.shape) < 0.3, 0, x).astype(np.float32)
    booster("xgb_zero_missing", Classifier(missing=0.0, **few).fit(zeros, two), zeros, True)
    booster("xgb_dart", Classifier(booster="dart", rate_drop=0.5, **few).fit(x, two), x, True, ("json", "ubj"))
    booster("xgb_multi", Classifier(**few).fit(holes, three), holes, True, ("ubj",))
    booster("xgb_poisson", Regressor(objective="count:poisson", **few).fit(x, np.round(positive)), x, False)
    booster("xgb_gamma", Regressor(objective="reg:gamma", **few).fit(holes, np.exp(three)), holes, False)
    booster("xgb_tweedie", Regressor(objective="reg:tweedie", **few).fit(x, positive), x, False)
    alphas = np.array([0.1, 0.5, 0.9])
    booster(
        "xgb_quantiles", Regressor(objective="reg:quantileerror", quantile_alpha=alphas, **few).fit(x, y), x, False
    )
    booster("xgb_targets", Regressor(**few).fit(holes, pair), holes, False)
    vector = Regressor(multi_strategy="multi_output_tree", tree_method="hist", **few)
    booster("xgb_vector", vector.fit(holes, pair), holes, False, ("json", "ubj"))
    ranker = xgboost.XGBRanker(objective="rank:ndcg", **few)
    booster("xgb_rank", ranker.fit(x, two, qid=np.sort(rng.integers(0, 20, ROWS))), x, False)
    for objective in ("logitraw", "hinge"):
        model = Classifier(objective=f"binary:{objective}", **few).fit(x, two)
        model.get_booster().save_model(FOLDER / f"xgb_{objective}.json")
        write(f"xgb_{objective}", x, model.predict(x), model.get_booster().predict(xgboost.DMatrix(x)))
    frame = pandas.DataFrame(holes, columns=list("abcd"))
    codes = frame["c"].astype("Int64").astype(object).where(frame["c"].notna(), None)
    frame["c"] = pandas.Categorical(codes, categories=np.arange(6))
    model = Classifier(enable_categorical=True, max_cat_to_onehot=1, tree_method="hist", **few)
    booster("xgb_categories", model.fit(frame, by_category(holes)), holes, True, ("json", "ubj"), frame)

    small = {"n_estimators": 4, "num_leaves": 7, "min_child_samples": 5, "verbose": -1, "deterministic": True}
    model = lightgbm.LGBMClassifier(**small).fit(holes, two_holes)
    onnx("lgb_missing", model, holes, True, lgb(model))
    model = lightgbm.LGBMClassifier(**small).fit(x, two)
    onnx("lgb_no_zipmap", model, x, True, lgb(model, zipmap=False))
    model = lightgbm.LGBMClassifier(**small, min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=1)
    model.fit(x, by_category(x), categorical_feature=[2])
    onnx("lgb_categories", model, x, True, lgb(model))
    model = lightgbm.LGBMRegressor(objective="tweedie", **small).fit(x, positive)
    onnx("lgb_tweedie", model, x, False, lgb(model))

    quick = {"iterations": 4, "depth": 3, "verbose": 0, "allow_writing_files": False, "random_seed": 1}
    model = catboost.CatBoostClassifier(**quick).fit(x, two)
    onnx("cat_2", model, x, True, cat(model))
    model = catboost.CatBoostClassifier(**quick).fit(holes, three)
    onnx("cat_3", model, holes, True, cat(model))

    pipelines = {
        "sk_imputer": (make_pipeline(SimpleImputer(), RandomForestClassifier(4, max_depth=3, random_state=1)), holes),
        "sk_scaler": (make_pipeline(StandardScaler(), RandomForestClassifier(4, max_depth=3, random_state=2)), x),
        "sk_minmax": (make_pipeline(MinMaxScaler(), ExtraTreesClassifier(4, max_depth=3, random_state=3)), x),
        "sk_columns": (
            Pipeline(
                [
                    ("c", ColumnTransformer([("s", StandardScaler(), [2, 0]), ("p", "passthrough", [1])])),
                    ("f", RandomForestClassifier(4, max_depth=3, random_state=4)),
                ]
            ),
            x,
        ),
        "sk_exponential": (GradientBoostingClassifier(loss="exponential", n_estimators=5, random_state=5), x),
    }
    for name, (estimator, features) in pipelines.items():
        label = two_holes if features is holes else (y > np.quantile(y, 0.6)).astype(int)
        estimator.fit(features, label)
        onnx(name, estimator, features, True, scikit(estimator))
    model = RandomForestClassifier(3, max_depth=3, random_state=6).fit(x, two)
    onnx("sk_zipmap_columns", model, x, True, scikit(model, zipmap="columns"))
    model = DecisionTreeClassifier(max_depth=4, random_state=7).fit(holes, two_holes)
    onnx("sk_lost_missing", model, holes, True, scikit(model))

    texts = {
        "lgb_text_missing": ({}, two_holes),
        "lgb_text_zero": ({"zero_as_missing": True}, two_holes),
        "lgb_text_never_missing": ({"use_missing": False}, two_holes),
        "lgb_text_forest": ({"boosting_type": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}, two_holes),
        "lgb_text_multi": ({}, three),
        "lgb_text_one_for_each": ({"objective": "multiclassova", "sigmoid": 2.0}, three),
    }
    for name, (extra, label) in texts.items():
        text(name, lightgbm.LGBMClassifier(**small, **extra).fit(holes, label), holes, True)
    model = lightgbm.LGBMClassifier(**small, min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=1)
    text("lgb_text_categories", model.fit(holes, by_category(holes), categorical_feature=[2]), holes, True)
    text("lgb_text_gamma", lightgbm.LGBMRegressor(objective="gamma", **small).fit(x, positive), x, False)


if __name__ == "__main__":
    main()
