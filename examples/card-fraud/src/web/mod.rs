//! The page of `card-fraud web`: an encrypted purchase in four steps, in a browser.
//!
//! The page is served by the card holder's own process. That process holds the key, encrypts and decrypts; the page
//! shows what it is told and holds no key. The bank's server is another process, which gets ciphertexts only.
//!
//! | module | subject |
//! | --- | --- |
//! | [`access`] | who may use the page: the token in its address, the names it is called by |
//! | [`connections`] | how many at a time, and for how long |
//! | [`bank`] | the bank's server: somewhere else, or a process of our own |
//! | [`form`] | what the page sends, checked |
//! | [`session`] | key, purchase and answer, and the order of the steps |
//! | [`desk`] | the four steps with a bank at the other end |
//! | [`problem`] | what goes wrong, in plain words |
//! | [`routes`] | the steps over HTTP, and the page's files |

pub mod access;
pub mod bank;
pub mod connections;
pub mod desk;
pub mod form;
pub mod problem;
pub mod routes;
pub mod session;
