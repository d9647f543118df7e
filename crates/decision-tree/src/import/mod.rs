//! Import of trained models: ONNX files (scikit-learn, XGBoost, LightGBM, CatBoost) XGBoost's own JSON and
//! UBJSON, and LightGBM's own text.
//!
//! An importer reads one file and gives a [`Model`] whose classes equal, on every row, those of the runtime that the
//! file was made for: ONNX Runtime for an ONNX file, XGBoost and LightGBM for their own. An exporter can lose a part of the model. Where that is known,
//! the file or the row is refused. Compare with the framework's own predictions before the model is used.
//!
//! | source | read |
//! | --- | --- |
//! | scikit-learn | trees, random forests, extra trees, gradient boosting, through `skl2onnx`, also behind scalers, imputers and chosen columns |
//! | XGBoost | `gbtree` and `dart` models of one or several outputs, as XGBoost's JSON or UBJSON, or through `onnxmltools` |
//! | LightGBM | `gbdt`, `dart` and `rf`, as LightGBM's text, or through `onnxmltools` (which rounds LightGBM's double thresholds to `f32`) |
//! | CatBoost | models on numbers, through `save_model(…, format="onnx")` |
//!
//! NaN in a row is a missing value and takes the branch that the file names for it.
//!
//! - XGBoost files do not say whether a number stood for a missing value in training: [`ImportOptions::missing`] does.
//! - `skl2onnx` loses where trees and forests of scikit-learn send missing values. Rows that lack a value are refused.
//! - `onnxmltools` loses LightGBM's `zero_as_missing`, and nothing in the file tells. Read LightGBM's text instead.
//! - A category of XGBoost is its number from 0 on, in the order of the training data's categories.
//!
//! Two scores that differ by less than `f32` can hold can be a tie in one framework and none in another. The runtime's rule for ties is
//! followed: the first of the greatest scores, or the second of two classes above the threshold.

mod emit;
mod error;
mod file;
mod lightgbm;
mod onnx;
mod tree;
mod xgboost;

pub use error::ImportError;
pub use lightgbm::MAX_LIGHTGBM_BYTES;
pub use onnx::MAX_ONNX_BYTES;
pub use xgboost::{MAX_UBJ_BYTES, MAX_XGBOOST_BYTES};

use std::path::Path;

use crate::Result;
use crate::model::Model;

/// Options for what a model file leaves open.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The features' names in the order of a row's values. Without them the file's own names are taken or, where it
    /// has none, `x0`, `x1`, ….
    pub features: Option<Vec<String>>,
    /// The value that stood for a missing one in training. An XGBoost file that has learned from missing values is read only with it:
    /// NaN if `missing` was not set in XGBoost, otherwise the number.
    pub missing: Option<f64>,
}

impl ImportOptions {
    /// Options with these feature names.
    #[must_use]
    pub fn with_features<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self { features: Some(names.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// The same options with the value that stood for a missing one in training.
    ///
    /// ```
    /// use subrosa_decision_tree::import::ImportOptions;
    ///
    /// let options = ImportOptions::default().with_missing(f64::NAN);
    /// assert!(options.missing.is_some_and(f64::is_nan));
    /// ```
    #[must_use]
    pub fn with_missing(mut self, value: f64) -> Self {
        self.missing = Some(value);
        self
    }

    /// The number that stands for a missing value besides NaN.
    fn missing_number(&self) -> Option<f64> {
        self.missing.filter(|missing| !missing.is_nan())
    }

    /// The names of `count` features.
    fn names(&self, count: usize, own: Vec<String>) -> Result<Vec<String>, ImportError> {
        let own = (!own.is_empty()).then_some(own);
        match self.features.clone().or(own) {
            Some(names) if names.len() != count => Err(ImportError::Length {
                field: "the feature names".into(),
                got: names.len(),
                expected: count,
            }),
            Some(names) => Ok(names),
            None => Ok((0..count).map(|index| format!("x{index}")).collect()),
        }
    }
}

impl Model {
    /// Reads an ONNX file that holds one `TreeEnsembleClassifier` or `TreeEnsembleRegressor`, with steps before it that scale, fill in or
    /// choose features one by one.
    ///
    /// Inputs and thresholds are compared in the precision of the file's input tensor. Scores are summed in `f64`,
    /// so they can differ from a runtime's `f32` sums in the last places; the class does not.
    ///
    /// # Errors
    /// [`ImportError`] for a file past [`MAX_ONNX_BYTES`], damaged, or with anything that would change a prediction
    /// and is not supported; [`crate::model::ModelError`] for a model past this crate's limits.
    #[doc(alias("skl2onnx", "scikit-learn"))]
    pub fn from_onnx(file: &[u8], options: &ImportOptions) -> Result<Self> {
        onnx::read(file, options)
    }

    /// Reads a model that XGBoost saved as JSON (`save_model("model.json")`).
    ///
    /// # Errors
    /// [`ImportError`] for a file past [`MAX_XGBOOST_BYTES`], damaged, or with a booster, objective or split that is
    /// not supported; [`ImportError::MissingNotStated`] where [`ImportOptions::missing`] is needed; [`crate::model::ModelError`] for a model past this crate's limits.
    pub fn from_xgboost_json(file: &[u8], options: &ImportOptions) -> Result<Self> {
        xgboost::read(file, options)
    }

    /// Reads a model that XGBoost saved as UBJSON (`save_model("model.ubj")`).
    ///
    /// # Errors
    /// As [`Self::from_xgboost_json`], with the limit [`MAX_UBJ_BYTES`].
    pub fn from_xgboost_ubj(file: &[u8], options: &ImportOptions) -> Result<Self> {
        xgboost::read_ubj(file, options)
    }

    /// Reads a model that LightGBM saved as text (`booster_.save_model("model.txt")`). The file does not hold the classes' names: they
    /// are 0, 1, ….
    ///
    /// # Errors
    /// [`ImportError`] for a file past [`MAX_LIGHTGBM_BYTES`], damaged, or with an objective or leaves that are not supported;
    /// [`crate::model::ModelError`] for a model past this crate's limits.
    pub fn from_lightgbm(file: &[u8], options: &ImportOptions) -> Result<Self> {
        lightgbm::read(file, options)
    }

    /// Reads a model file of any supported kind: `.onnx`, `.ubj` of XGBoost, `.txt` of LightGBM, or `.json` of XGBoost or of this
    /// crate.
    ///
    /// # Errors
    /// As the other readers, each error with the file's path.
    pub fn from_file(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Self> {
        file::read(path.as_ref(), options)
    }
}
