#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[doc(inline)]
pub use subrosa_transport as transport;

#[cfg(feature = "risk")]
#[doc(inline)]
pub use {
    subrosa_distributed_paillier as keygen, subrosa_paillier as paillier, subrosa_risk_propagation as risk,
    subrosa_threshold_decryption as threshold,
};

#[cfg(feature = "trees")]
#[doc(inline)]
pub use subrosa_decision_tree as trees;
